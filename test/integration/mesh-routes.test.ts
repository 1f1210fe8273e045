//! VirtualServices and DestinationRules at the sidecars: from YAML to what a pod's call comes to.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { eventually, observedContext } from "../../src/dataplane/testing/fixture.ts";
import {
  endAll,
  preparer,
  sendRaw,
  startRawUpstream,
} from "../../src/dataplane/testing/harness.ts";
import { SidecarRole } from "../../src/dataplane/worker/sidecar-role.ts";
import { compileYaml } from "../support/compile-yaml.ts";
import { endEach } from "../support/ending.ts";

const { context, assertions } = observedContext(systemClock);
const role = new SidecarRole(context, preparer());
const ports = { front: 0, tool: 0, v1: 0, v2: 0, gray: 0 };
/** What each pod was asked, and what `cart-v2` answers. */
const seen = { v1: [] as string[], v2: [] as string[], gray: [] as string[] };
let answersOfV2: string[] = [];

type PodName = keyof typeof seen;

/** Answers with its name and the request's head; `cart-v2` first what it was told to. */
function serve(name: PodName): (socket: Socket) => void {
  return (socket) => {
    socket.on("data", (chunk: Buffer) => {
      const head = chunk.toString("latin1");
      seen[name].push(head);
      const status = name === "v2" ? (answersOfV2.shift() ?? "200 OK") : "200 OK";
      if (status === "silence") return;
      const body = `${name}\n${head}`;
      const length = String(body.length);
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n\r\n${body}`, "latin1");
    });
  };
}

function pod(name: string, labels: string, port: number, more = ""): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {${labels}}${more}}
spec: {containers: [{name: app, image: x, ports: [{name: http, containerPort: ${String(port)}}]}]}
status: {podIP: 127.0.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
`;
}

const caller = (port: number): string =>
  `, annotations: {local.graylane.io/outbound: "127.0.0.1:${String(port)}"}`;

function world(): string {
  const { front, tool, v1, v2, gray } = ports;
  return `
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  selector: {app: cart}
  ports: [{name: http, port: 80, targetPort: http}, {name: admin, port: 90, targetPort: http}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: g}
spec:
  entry: {gateways: [{name: edge}]}
  services: [{name: cart}]
  baseline: {}
  context: {mode: header, routeHeader: x-lane}
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray}
spec: {group: g, selector: {matchLabels: {lane: gray}}}
${pod("front", `app: front, tier: web, istio-locality: r.a`, 1, caller(front))}
${pod("tool", "app: tool", 1, `, namespace: team${caller(tool)}`)}
${pod("cart-v1", `app: cart, version: v1, istio-locality: r.a`, v1)}
${pod("cart-v2", `app: cart, version: v2, istio-locality: r.b`, v2)}
${pod("cart-gray", "app: cart, version: v3, lane: gray", gray)}
`;
}

const RULE = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`;

const routes = (http: string, hosts = "[cart]", more = "", name = "cart"): string => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: ${hosts}
  ${more}
  http: ${http}
`;

const policy = (text: string): string => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart
  trafficPolicy: ${text}
`;

/** Configures the sidecars; returns the codes of what there is to say. */
async function apply(text: string): Promise<readonly string[]> {
  const { snapshot, codes } = compileYaml(world() + text);
  assert.equal(await role.configure(snapshot), null);
  return codes;
}

interface Call {
  readonly from?: "front" | "tool";
  readonly url?: string;
  readonly method?: string;
  readonly fields?: string;
}

function call({ from = "front", url = "http://cart/x", method = "GET", fields = "" }: Call = {}) {
  const host = new URL(url).host;
  const head = `${method} ${url} HTTP/1.1\r\nHost: ${host}\r\n${fields}Connection: close\r\n\r\n`;
  return sendRaw(ports[from], head);
}

/** The pods that so many calls reach. */
async function reached(count: number, make: (index: number) => Call = () => ({})): Promise<string> {
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    names.add(/\r\n\r\n(\w+)\n/.exec(await call(make(index)))?.[1] ?? "none");
  }
  return [...names].sort().join(" ");
}

before(async () => {
  for (const name of ["v1", "v2", "gray"] as const) {
    ports[name] = (await startRawUpstream(serve(name))).port;
  }
  ports.front = await freePort();
  ports.tool = await freePort();
});
after(async () => {
  await endEach(() => role.stop(), endAll);
  assert.deepEqual(assertions, []);
});

const to = (subset: string): string => `route: [{destination: {host: cart, subset: ${subset}}}]`;
const OTHERS = `{${to("v1")}}`;
const V1 = /200 OK[^]*\r\n\r\nv1\n/;
const V2 = /200 OK[^]*\r\n\r\nv2\n/;

interface Case {
  readonly name: string;
  readonly yaml: string;
  readonly call?: Call;
  readonly answers?: string[];
  readonly want: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "a header leads to a subset",
    yaml: routes(`[{match: [{headers: {user: {exact: jason}}}], ${to("v2")}}, ${OTHERS}]`),
    call: { fields: "user: jason\r\n" },
    want: V2,
  },
  {
    name: "without the header the next route takes the call",
    yaml: routes(`[{match: [{headers: {user: {exact: jason}}}], ${to("v2")}}, ${OTHERS}]`),
    want: V1,
  },
  {
    name: "a route may ask for the scheme",
    yaml: routes(`[{match: [{scheme: {exact: http}}], ${to("v2")}}, ${OTHERS}]`),
    want: V2,
  },
  {
    name: "a call that no route takes is a 404 that says so",
    yaml: routes(`[{match: [{uri: {prefix: /other}}], ${to("v2")}}]`),
    want: /404 [^]*no_route: no route for calls between pods takes cart\/x/,
  },
  {
    name: "a direct response is the sidecar's own",
    yaml: routes(`[{directResponse: {status: 418, body: {string: tea}}}]`),
    want: /418 [^]*\r\n\r\ntea$/,
  },
  {
    name: "a redirect is the sidecar's own",
    yaml: routes("[{redirect: {uri: /new, redirectCode: 308}}]"),
    want: /308 [^]*location: http:\/\/cart\/new\r\n/,
  },
  {
    name: "path and host are rewritten",
    yaml: routes(
      `[{match: [{uri: {prefix: /x}}], rewrite: {uri: /y, authority: z.test}, ${to("v1")}}]`,
    ),
    call: { url: "http://cart/x/1?q=2" },
    want: /v1\nGET \/y\/1\?q=2 HTTP[^]*host: z\.test\r\n[^]*x-envoy-original-path: \/x\/1/i,
  },
  {
    name: "header operations of route and destination reach both sides",
    yaml: routes(
      `[{headers: {request: {set: {a: "1"}, remove: [b]}, response: {set: {c: "3"}}},
         route: [{destination: {host: cart, subset: v1}, headers: {response: {add: {d: "4"}}}}]}]`,
    ),
    call: { fields: "a: 0\r\nb: 2\r\n" },
    want: /c: 3\r\n[^]*d: 4\r\n[^]*\r\n\r\nv1\n(?![^]*\nb: )[^]*\na: 1\r\n/,
  },
  {
    name: "a fault is injected",
    yaml: routes(`[{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, ${to("v1")}}]`),
    want: /418 [^]*fault_injected/,
  },
  {
    name: "a timeout ends the call",
    yaml: routes(`[{timeout: 0.2s, ${to("v2")}}]`),
    answers: ["silence"],
    want: /504 [^]*upstream_timeout/,
  },
  {
    name: "a failed try is tried again",
    yaml: routes(`[{retries: {attempts: 1, retryOn: 5xx}, ${to("v2")}}]`),
    answers: ["503 Busy"],
    want: V2,
  },
  {
    name: "without retries what failed is the caller's",
    yaml: routes(`[{${to("v2")}}]`),
    answers: ["503 Busy"],
    want: /503 Busy/,
  },
  {
    name: "a preflight is answered",
    yaml: routes(`[{corsPolicy: {allowOrigins: [{exact: "http://a"}]}, ${to("v1")}}]`),
    call: {
      method: "OPTIONS",
      fields: "origin: http://a\r\naccess-control-request-method: PUT\r\n",
    },
    want: /200 OK[^]*access-control-allow-origin: http:\/\/a\r\n/,
  },
  {
    name: "an allowed origin is told with the answer",
    yaml: routes(`[{corsPolicy: {allowOrigins: [{exact: "http://a"}]}, ${to("v1")}}]`),
    call: { fields: "origin: http://a\r\n" },
    want: /200 OK[^]*access-control-allow-origin: http:\/\/a\r\n/,
  },
  {
    name: "the caller's labels lead to a subset",
    yaml: routes(`[{match: [{sourceLabels: {tier: web}}], ${to("v2")}}, ${OTHERS}]`),
    want: V2,
  },
  {
    name: "a caller without the labels goes by the next route",
    yaml: routes(`[{match: [{sourceLabels: {tier: web}}], ${to("v2")}}, ${OTHERS}]`),
    call: { from: "tool", url: "http://cart.default/x" },
    want: V1,
  },
  {
    name: "the caller's namespace leads to a subset",
    yaml: routes(`[{match: [{sourceNamespace: team}], ${to("v2")}}, ${OTHERS}]`),
    call: { from: "tool", url: "http://cart.default/x" },
    want: V2,
  },
  {
    name: "a caller of another namespace goes by the next route",
    yaml: routes(`[{match: [{sourceNamespace: team}], ${to("v2")}}, ${OTHERS}]`),
    want: V1,
  },
  {
    name: "routes that are exported to their namespace are not for other callers",
    yaml: routes("[{directResponse: {status: 418}}]", "[cart]", "exportTo: ['.']"),
    call: { from: "tool", url: "http://cart.default/x" },
    want: /404 [^]*no_route/,
  },
  {
    name: "a match that names mesh holds for calls between pods",
    yaml: routes(
      `[{match: [{gateways: [mesh]}], ${to("v2")}}, ${OTHERS}]`,
      "[cart]",
      "gateways: [mesh]",
    ),
    want: V2,
  },
  {
    name: "a match that names only a Gateway does not",
    yaml: routes(
      `[{match: [{gateways: [edge]}], ${to("v2")}}, ${OTHERS}]`,
      "[cart]",
      "gateways: [mesh]",
    ),
    want: V1,
  },
  {
    name: "a match by port holds at that port",
    yaml: routes(
      "[{match: [{port: 90}], directResponse: {status: 418}}, {route: [{destination: {host: both}}]}]",
      "[both]",
    ),
    call: { url: "http://both:90/x" },
    want: /418 /,
  },
  {
    name: "a destination without a port means that of the call",
    yaml: routes(
      "[{match: [{port: 90}], directResponse: {status: 418}}, {route: [{destination: {host: both}}]}]",
      "[both]",
    ),
    call: { url: "http://both/x" },
    want: /200 OK/,
  },
  {
    name: "the host that is named goes before a wildcard",
    yaml:
      routes(`[{${to("v1")}}]`, "['*.default.svc.cluster.local']", "", "all") +
      routes(`[{${to("v2")}}]`, "[cart.default.svc.cluster.local]"),
    want: V2,
  },
  {
    name: "a wildcard holds for what nothing else names",
    yaml: routes("[{directResponse: {status: 418}}]", "['*.default.svc.cluster.local']"),
    want: /418 /,
  },
  {
    name: "a call in a lane is the lane's where the route names no subset, and stays in it",
    yaml: routes("[{headers: {request: {set: {a: b}}}, route: [{destination: {host: cart}}]}]"),
    call: { fields: "x-lane: gray\r\n" },
    want: /\r\n\r\ngray\n[^]*x-lane: gray\r\n[^]*a: b\r\n/,
  },
  {
    name: "a route that names a subset decides for this hop, and leaves the lane as it is",
    yaml: routes(`[{${to("v1")}}]`),
    call: { fields: "x-lane: gray\r\n" },
    want: /\r\n\r\nv1\n[^]*x-lane: gray\r\n/,
  },
  {
    name: "a route that names a lane leads into it",
    yaml: routes(`[{${to("gray")}}]`),
    want: /\r\n\r\ngray\n[^]*x-lane: gray\r\n/,
  },
  {
    name: "a delegate's routes are used",
    yaml: routes("[{delegate: {name: own}}]") + routes(`[{${to("v2")}}]`, "[]", "", "own"),
    want: V2,
  },
];

describe("a VirtualService for calls between pods", () => {
  for (const { name, yaml, call: made = {}, answers = [], want } of cases) {
    test(name, async () => {
      answersOfV2 = [...answers];
      assert.deepEqual(await apply(RULE + yaml), []);
      assert.match(await call(made), want);
    });
  }

  test("weights are kept to, and a copy goes to the mirror", async () => {
    const none = "{destination: {host: cart, subset: v2}, weight: 0}";
    const weighted = `[${none}, {destination: {host: cart, subset: v1}, weight: 100}]`;
    await apply(RULE + routes(`[{route: ${weighted}, mirror: {host: cart, subset: v2}}]`));
    seen.v2.length = 0;
    assert.equal(await reached(5), "v1");
    await eventually(() => seen.v2.length === 5);
    assert.match(seen.v2[0] ?? "", /host: cart-shadow\r\n/i);
  });

  test("a lane that only the baggage tells is known before routes are asked", async () => {
    const asks = "match: [{headers: {x-lane: {exact: gray}}}]";
    const { snapshot } = compileYaml(
      world().replace("mode: header", "mode: baggage, baggageKey: at") +
        RULE +
        routes(`[{${asks}, directResponse: {status: 418}}, ${OTHERS}]`),
    );
    assert.equal(await role.configure(snapshot), null);
    assert.match(await call({ fields: "baggage: at=gray\r\n" }), /418 /);
    assert.match(await call(), V1);
  });

  test("what names no host that pods call says so, and changes nothing", async () => {
    const gone = routes(`[{${to("v1")}}]`, "[www.example.com]");
    assert.deepEqual(await apply(RULE + gone), ["GL0207"]);
    assert.deepEqual(await apply(RULE + routes(`[{${to("v1")}}]`, "['*']")), ["GL0207"]);
    assert.match(await call(), /200 OK/);
  });

  test("a destination that is not there is reported once, and answers 503", async () => {
    const route = routes("[{route: [{destination: {host: both, subset: no}}]}]", "[both]");
    assert.deepEqual(await apply(route), ["GL0203"]);
    assert.match(await call({ url: "http://both:90/x" }), /503 [^]*route_target_missing/);
  });

  test("routes that go away leave the calls to the lanes", async () => {
    await apply(RULE + routes("[{directResponse: {status: 418}}]"));
    assert.match(await call(), /418/);
    await apply(RULE);
    assert.match(await call(), /200 OK/);
  });
});

describe("a DestinationRule for calls between pods", () => {
  const keyed = (index: number): Call => ({ fields: `user: ${String(index % 20)}\r\n` });

  test("one key comes to one pod, and many keys to all", async () => {
    await apply(policy("{loadBalancer: {consistentHash: {httpHeaderName: user}}}"));
    assert.equal(await reached(20, keyed), "v1 v2");
    for (const index of [1, 7]) {
      assert.match(await reached(5, () => keyed(index)), /^v[12]$/);
    }
  });

  test("a cookie that keeps a caller at its pod is given out", async () => {
    const cookie = "{httpCookie: {name: at, ttl: 60s}}";
    await apply(policy(`{loadBalancer: {consistentHash: ${cookie}}}`));
    assert.match(await call(), /set-cookie: at=[0-9a-f]{16}; Max-Age=60; [^]*HttpOnly/);
  });

  test("a pod that fails is left out, and stays out", async () => {
    const out = "{consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100}";
    await apply(policy(`{outlierDetection: ${out}, loadBalancer: {simple: ROUND_ROBIN}}`));
    const elsewhere = (): Call => ({ from: "tool", url: "http://cart.default/x" });
    answersOfV2 = ["500 Broken"];
    assert.equal(await reached(4, elsewhere), "v1 v2");
    assert.equal(await reached(6, elsewhere), "v1");
  });

  test("requests beyond the limit are refused", async () => {
    answersOfV2 = ["silence"];
    const limited = policy("{connectionPool: {http: {http2MaxRequests: 1}}}").replace(
      "  host: cart\n",
      "  host: cart\n  subsets: [{name: v2, labels: {version: v2}}]\n",
    );
    await apply(limited + routes(`[{timeout: 2s, ${to("v2")}}]`));
    seen.v2.length = 0;
    const first = call();
    await eventually(() => seen.v2.length === 1);
    assert.match(await call(), /503 [^]*upstream_overflow/);
    assert.match(await first, /504 /);
  });

  test("a caller's place decides where its calls go", async () => {
    const parts = '[{from: r/a/*, to: {"r/b/*": 100}}]';
    await apply(policy(`{loadBalancer: {localityLbSetting: {distribute: ${parts}}}}`));
    assert.equal(await reached(6), "v2");
    const watched = "{outlierDetection: {consecutive5xxErrors: 5}}";
    await apply(policy(watched));
    assert.equal(await reached(6), "v1", "the same zone first");
    const elsewhere = (): Call => ({ from: "tool", url: "http://cart.default/x" });
    assert.equal(await reached(20, elsewhere), "v1 v2", "a caller whose place is not known");
  });
});
