//! Ingresses with the annotations of ingress-nginx and Higress: from YAML to what a request comes to.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { connect } from "node:tls";
import { after, before, describe, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST, CA } from "../../src/dataplane/testing/certificates.ts";
import { eventually, observedContext } from "../../src/dataplane/testing/fixture.ts";
import {
  endAll,
  preparer,
  sendRaw,
  startRawUpstream,
} from "../../src/dataplane/testing/harness.ts";
import { GatewayRole } from "../../src/dataplane/worker/gateway-role.ts";
import { systemClock } from "../../src/base/clock.ts";
import { compileYaml } from "../support/compile-yaml.ts";
import { endEach } from "../support/ending.ts";

const { context, assertions } = observedContext(systemClock);
const ports = { http: 0, https: 0, shop: 0, next: 0 };
const seen = { shop: [] as string[], next: [] as string[] };
let role: GatewayRole;

function serve(name: keyof typeof seen): (socket: Socket) => void {
  return (socket) => {
    socket.on("data", (chunk: Buffer) => {
      const head = chunk.toString("latin1");
      seen[name].push(head);
      if (head.startsWith("GET /silence")) return;
      const body = `${name}\n${head}`;
      const length = String(body.length);
      socket.write(`HTTP/1.1 200 OK\r\nX-Old: 1\r\nContent-Length: ${length}\r\n\r\n${body}`);
    });
  };
}

function backend(name: keyof typeof seen): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec: {containers: [{name: c, image: x, ports: [{name: http, containerPort: ${String(ports[name])}}]}]}
status: {podIP: 127.0.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
`;
}

const indented = (text: string): string => JSON.stringify(text.replace(/\n$/, ""));
const SECRET = (): string => `---
apiVersion: v1
kind: Secret
metadata: {name: cert}
type: kubernetes.io/tls
stringData: {tls.crt: ${indented(A_TEST.certificate)}, tls.key: ${indented(A_TEST.privateKey)}}
`;

interface Written {
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly pathType?: string;
  readonly service?: string;
  readonly more?: string;
}

function ingress(written: Written): string {
  const { name = "a", annotations = {}, path = "/", pathType = "Prefix", more = "" } = written;
  const { service = name === "a" ? "shop" : "next" } = written;
  const pairs = Object.entries(annotations).map(([key, value]) => [
    key.includes("/") ? key : `nginx.ingress.kubernetes.io/${key}`,
    value,
  ]);
  const own = JSON.stringify(Object.fromEntries(pairs));
  const paths = `[{path: "${path}", pathType: ${pathType}, backend: {service: {name: ${service}, port: {name: web}}}}]`;
  return `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ${name}, annotations: ${own}}
spec: {rules: [{host: a.test, http: {paths: ${paths}}}]${more}}
`;
}

async function apply(text: string): Promise<readonly string[]> {
  const { snapshot, codes } = compileYaml(backend("shop").slice(4) + backend("next") + text);
  assert.equal(await role.configure(snapshot), null);
  return codes;
}

interface Asked {
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
  readonly fields?: string;
}

function headOf({ path = "/x", host = "a.test", method = "GET", fields = "" }: Asked): string {
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}Connection: close\r\n\r\n`;
}

const ask = (asked: Asked = {}): Promise<string> => sendRaw(ports.http, headOf(asked));

function askSecurely(asked: Asked = {}): Promise<string> {
  const { https: port } = ports;
  return new Promise((resolve, reject) => {
    const host = "127.0.0.1";
    const socket = connect({ port, host, servername: "a.test", ca: CA.certificate });
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("end", () => {
      resolve(text);
    });
    socket.on("error", reject);
    socket.write(headOf(asked));
  });
}

before(async () => {
  for (const name of ["shop", "next"] as const) {
    ports[name] = (await startRawUpstream(serve(name))).port;
  }
  Object.assign(ports, { http: await freePort(), https: await freePort() });
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": ports.http, "443": ports.https },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  role = new GatewayRole(options, context, preparer());
});
after(async () => {
  await endEach(() => role.stop(), endAll);
  assert.deepEqual(assertions, []);
});

const SHOP = /200 OK[^]*\r\n\r\nshop\n/;
const NEXT = /200 OK[^]*\r\n\r\nnext\n/;
const canary = (annotations: Written["annotations"]): string =>
  ingress({}) + ingress({ name: "b", annotations: { canary: "true", ...annotations } });

type Row = readonly [name: string, yaml: string, asked: Asked, want: RegExp];

const rows: readonly Row[] = [
  ["a prefix takes what lies under it", ingress({ path: "/x" }), { path: "/x/y" }, SHOP],
  ["a prefix compares whole elements", ingress({ path: "/x" }), { path: "/xy" }, /404 /],
  ["an exact path takes itself alone", ingress({ pathType: "Exact", path: "/x" }), {}, SHOP],
  ["of an exact path nothing below", ingress({ pathType: "Exact" }), {}, /404 /],
  ["another host has no route", ingress({}), { host: "b.test" }, /404 [^]*no_route/],
  [
    "a canary by header: always",
    canary({ "canary-by-header": "u" }),
    { fields: "u: always\r\n" },
    NEXT,
  ],
  [
    "a canary by header: never, though it weighs all",
    canary({ "canary-by-header": "u", "canary-weight": "100" }),
    { fields: "u: never\r\n" },
    SHOP,
  ],
  [
    "a canary by a header's value",
    canary({ "canary-by-header": "u", "canary-by-header-value": "v" }),
    { fields: "u: v\r\n" },
    NEXT,
  ],
  [
    "a canary by a header's pattern",
    canary({ "canary-by-header": "u", "canary-by-header-pattern": "^v.*" }),
    { fields: "u: vw\r\n" },
    NEXT,
  ],
  [
    "a canary by cookie",
    canary({ "canary-by-cookie": "c" }),
    { fields: "cookie: a=b; c=always\r\n" },
    NEXT,
  ],
  ["a canary by weight: all", canary({ "canary-weight": "100" }), {}, NEXT],
  ["a canary by weight: none", canary({ "canary-weight": "0" }), {}, SHOP],
  [
    "a condition on a header",
    ingress({ annotations: { "higress.io/exact-match-header-u": "1" } }),
    {},
    /404 /,
  ],
  [
    "a condition on a method",
    ingress({ annotations: { "higress.io/match-method": "POST PUT" } }),
    { method: "PUT" },
    SHOP,
  ],
  [
    "a rewrite by groups of the path",
    ingress({ path: "/x(/|$)(.*)", annotations: { "rewrite-target": "/new/$2" } }),
    { path: "/x/y?q=1" },
    /shop\nGET \/new\/y\?q=1 /,
  ],
  [
    "another host for the endpoint",
    ingress({ annotations: { "upstream-vhost": "v.test" } }),
    {},
    /shop\n[^]*host: v\.test\r\n/i,
  ],
  [
    "a permanent redirect",
    ingress({ annotations: { "permanent-redirect": "https://z.test/y" } }),
    {},
    /301 [^]*location: https:\/\/z\.test\/y\r\n/,
  ],
  [
    "a temporal redirect",
    ingress({ annotations: { "temporal-redirect": "https://z.test/" } }),
    {},
    /302 [^]*location: https:\/\/z\.test\/\r\n/,
  ],
  [
    "CORS with the defaults",
    ingress({ annotations: { "enable-cors": "true" } }),
    { fields: "origin: http://o\r\n" },
    /access-control-allow-origin: http:\/\/o\r\n/,
  ],
  [
    "header operations",
    ingress({
      annotations: {
        "higress.io/request-header-control-add": "n 1",
        "higress.io/response-header-control-remove": "x-old",
      },
    }),
    {},
    /200 OK\r\n(?![^]*x-old: 1\r\n[^]*\r\n\r\n)[^]*\nn: 1\r\n/,
  ],
  [
    "a timeout",
    ingress({ annotations: { "higress.io/timeout": "0.2" } }),
    { path: "/silence" },
    /504 /,
  ],
  [
    "destinations in the place of the backend",
    ingress({
      annotations: { "higress.io/destination": "100% next.default.svc.cluster.local:80" },
    }),
    {},
    NEXT,
  ],
  [
    "the root goes to the app's",
    ingress({ annotations: { "app-root": "/app" } }),
    { path: "/" },
    /302 [^]*location: http:\/\/a\.test\/app\r\n/,
  ],
  ["but nothing else", ingress({ annotations: { "app-root": "/app" } }), { path: "/app" }, SHOP],
  [
    "all are sent to https where it is forced",
    ingress({ annotations: { "force-ssl-redirect": "true" } }),
    { path: "/x?q=1" },
    /308 [^]*location: https:\/\/a\.test\/x\?q=1\r\n/,
  ],
  [
    "nobody is sent to https that has no TLS",
    ingress({ annotations: { "ssl-redirect": "true" } }),
    {},
    SHOP,
  ],
];

describe("an Ingress", () => {
  for (const [name, yaml, asked, want] of rows) {
    test(name, async () => {
      assert.deepEqual(await apply(yaml), []);
      assert.match(await ask(asked), want);
    });
  }

  test("copies go to the mirror", async () => {
    await apply(ingress({ annotations: { "higress.io/mirror-target-service": "next:80" } }));
    seen.next.length = 0;
    assert.match(await ask(), SHOP);
    await eventually(() => seen.next.length === 1);
  });

  test("the first of a thousand is 1 ‰", async () => {
    await apply(canary({ "canary-weight": "1", "canary-weight-total": "1000" }));
    seen.next.length = 0;
    const { snapshot } = compileYaml(
      backend("shop").slice(4) +
        backend("next") +
        canary({ "canary-weight": "1", "canary-weight-total": "1000" }),
    );
    const routes = Object.values(snapshot.routeTables)[0]?.virtualHosts[0]?.routes ?? [];
    const action = routes.at(-1)?.action;
    const weights = action?.kind === "forward" ? action.destinations.map((one) => one.weight) : [];
    assert.deepEqual(weights, [1_000, 999_000]);
  });
});

describe("TLS of an Ingress", () => {
  const secured = (more: Written["annotations"] = {}): string =>
    SECRET() + ingress({ annotations: more, more: ", tls: [{hosts: [a.test], secretName: cert}]" });

  test("ends at port 443 with the Secret's certificate; port 80 serves as well", async () => {
    assert.deepEqual(await apply(secured()), []);
    assert.match(await askSecurely(), SHOP);
    assert.match(await askSecurely(), /x-forwarded-proto: https\r\n/i);
    assert.match(await ask(), SHOP);
  });

  test("requests in clear are sent to it where ssl-redirect says so", async () => {
    await apply(secured({ "ssl-redirect": "true", "app-root": "/app" }));
    assert.match(await ask(), /308 [^]*location: https:\/\/a\.test\/x\r\n/);
    assert.match(await askSecurely(), SHOP);
    assert.match(await askSecurely({ path: "/" }), /302 [^]*location: https:\/\/a\.test\/app\r\n/);
  });

  test("a condition on the scheme tells TLS from clear", async () => {
    await apply(secured({ "higress.io/exact-match-pseudo-header-scheme": "https" }));
    assert.match(await askSecurely(), SHOP);
    assert.match(await ask(), /404 /);
  });

  test("another Ingress of the host is served there, too; another host is misdirected", async () => {
    await apply(secured() + ingress({ name: "b", path: "/b" }));
    assert.match(await askSecurely({ path: "/b" }), NEXT);
    assert.match(await askSecurely({ host: "b.test" }), /421 /);
  });

  test("a Secret that is missing is told where it is named", async () => {
    assert.deepEqual(await apply(secured().slice(SECRET().length)), ["GL0241"]);
    assert.equal(await askSecurely(), "");
    assert.match(await ask(), SHOP);
  });
});
