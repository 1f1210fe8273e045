//! Lanes that rules lead into: a real Envoy and the embedded gateway are asked the same, and take
//! every request into the same lane and to the same pod.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { findEnvoy } from "../support/envoy.ts";
import type { Envoy } from "../support/envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { Graylane, KINDS } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const LANE_HEADER = "x-lane";

type Fields = readonly (readonly [name: string, value: string])[];

const BASE = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ name: http, port: 8000, targetPort: http }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: entry, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec: { hosts: ["*"], gateways: [entry], http: [{ route: [{ destination: { host: shop } }] }] }
`;

function group(more = "fallback: permissive"): string {
  return `
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shops, namespace: default }
spec:
  entry: { gateways: [{ name: entry }] }
  services: [{ name: shop }]
  baseline: { labelKeys: [lane] }
  context: { mode: header, routeHeader: ${LANE_HEADER} }
  ${more}
`;
}

function lane(name: string, more: string): string {
  return `
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: ${name}, namespace: default }
spec:
  group: shops
  selector: { matchLabels: { lane: ${name} } }
  ${more}
`;
}

type Asked = readonly [isIn: boolean, path: string, headers?: Fields, method?: string];

const header = (value: string): Fields => [["x-tier", value]];
const cookie = (value: string): Fields => [["cookie", value]];

/** Rules, and requests that are (true) in the lane or (false) not. */
const RULES: readonly (readonly [rule: string, asked: readonly Asked[]])[] = [
  [
    "{ header: x-tier, operator: in, values: [gold, 'a.c'] }",
    [
      [true, "/", header("gold")],
      [true, "/", header("a.c")],
      [false, "/", header("abc")],
      [false, "/"],
    ],
  ],
  [
    "{ header: x-tier, operator: '!=', value: gold }",
    [
      [false, "/", header("gold")],
      [true, "/", header("silver")],
      [true, "/", header("")],
      [true, "/"],
    ],
  ],
  [
    "{ not: { header: x-tier, operator: regex, value: 'g?' } }",
    [
      [false, "/", header("g")],
      [false, "/", header("")],
      [true, "/", header("gg")],
      [true, "/"],
    ],
  ],
  [
    "{ any: [{ header: x-a, operator: prefix, value: go }, { header: x-a, operator: suffix, " +
      "value: er }, { header: x-a, operator: contains, value: o-l }] }",
    [
      [true, "/", [["x-a", "gold"]]],
      [true, "/", [["x-a", "silver"]]],
      [true, "/", [["x-a", "no-lane"]]],
      [false, "/", [["x-a", "Gold"]]],
    ],
  ],
  [
    "{ all: [{ header: x-a, operator: exists }, { not: { any: [{ header: x-b, operator: exists }, " +
      "{ method: true, operator: in, values: [PUT, POST] }] } }] }",
    [
      [true, "/", [["x-a", ""]]],
      [false, "/"],
      [
        false,
        "/",
        [
          ["x-a", "1"],
          ["x-b", ""],
        ],
      ],
      [false, "/", [["x-a", "1"]], "POST"],
      [true, "/", [["x-a", "1"]], "DELETE"],
    ],
  ],
  [
    "{ cookie: user, operator: ==, value: 'j.d' }",
    [
      [true, "/", cookie("user=j.d")],
      [true, "/", cookie("a=1; user = j.d ; b=2")],
      [false, "/", cookie("user=jxd")],
      [false, "/", cookie("user=x; user=j.d")],
      [true, "/", cookie("user=j.d; user=x")],
      [true, "/", cookie("user; users=2; use=3; xuser=4; user=j.d")],
      [false, "/", cookie("user=j.d2")],
      [false, "/", cookie("other=user=j.d")],
      [false, "/"],
    ],
  ],
  [
    "{ cookie: beta, operator: notIn, values: ['off', 'no'] }",
    [
      [true, "/"],
      [true, "/", cookie("beta=on")],
      [true, "/", cookie("alpha=off")],
      [false, "/", cookie("alpha=1;beta=off")],
    ],
  ],
  [
    "{ query: who, operator: in, values: ['J D', 'k/l'] }",
    [
      [true, "/?who=J+D"],
      [true, "/?who=%4a%20D"],
      [true, "/?a=1&who=k/l&who=x"],
      [true, "/?who=k%2Fl"],
      [false, "/?a=1&who=x&who=k/l"],
      [false, "/?who=JD"],
      [false, "/"],
    ],
  ],
  [
    "{ query: beta, operator: absent }",
    [
      [true, "/"],
      [true, "/?a=1&betas=2&x=beta"],
      [false, "/?beta"],
      [false, "/?a=1&beta=0"],
    ],
  ],
  [
    "{ path: true, operator: prefix, value: /api/v }",
    [
      [true, "/api/v1?x=1"],
      [false, "/api?x=/api/v"],
      [true, "/x/../api/v2"],
    ],
  ],
  [
    "{ path: true, operator: regex, value: '/a.*b' }",
    [
      [true, "/axb?q"],
      [false, "/a?b"],
    ],
  ],
  [
    "{ all: [{ path: true, operator: contains, value: oo }, { path: true, operator: '!=', " +
      "value: /foo }, { path: true, operator: suffix, value: s }] }",
    [
      [true, "/foods?x=1"],
      [false, "/foo?x=s"],
      [false, "/bars?x=oo"],
    ],
  ],
  ["{ host: true, operator: ==, value: shop.example.com }", [[true, "/"]]],
];

/** What a request came to: the pod that answered, and the lane that it was told of. */
interface Served {
  readonly status: number;
  readonly pod: string;
  readonly lane: string | null;
}

function servedOf({ status, body, headers }: Answer): Served {
  const seen = headers["x-seen"];
  if (seen === undefined) return { status, pod: "", lane: null };
  const fields = JSON.parse(String(seen)) as Record<string, string>;
  return { status, pod: body, lane: fields[LANE_HEADER] ?? null };
}

suite("lanes that rules lead into, on a real Envoy", { skip, timeout: 240_000 }, () => {
  const backends = new Map<string, Backend>();
  let graylane: Graylane;
  let envoy: Envoy;
  let envoyPort = 0;

  const apply = async (yaml: string): Promise<void> => {
    await graylane.apply(yaml);
    await graylane.published();
  };
  const addPod = async (name: string, labels: Readonly<Record<string, string>>): Promise<void> => {
    const backend = await Backend.start(name);
    backends.set(name, backend);
    await backend.announce(graylane, { app: "shop", ...labels });
  };
  const removePod = async (name: string): Promise<void> => {
    await graylane.client.delete(KINDS.Pod, { namespace: "default", name });
    await graylane.published();
    await backends.get(name)?.stop();
    backends.delete(name);
  };
  /** Asks both, and demands one answer of them. */
  const ask = async (path: string, headers: Fields = [], method = "GET"): Promise<Served> => {
    const question = { host: "shop.example.com", path, headers, method };
    const [ofEnvoy, embedded] = await Promise.all(
      [envoyPort, graylane.port].map((port) => askAt({ ...question, port })),
    );
    assert.ok(ofEnvoy !== undefined && embedded !== undefined);
    const served = servedOf(ofEnvoy);
    assert.deepEqual(served, servedOf(embedded), `${path} ${JSON.stringify(headers)}`);
    return served;
  };

  before(async () => {
    const xdsPort = await freePort();
    envoyPort = await freePort();
    const words = ["--xds", `127.0.0.1:${xdsPort}`];
    graylane = await Graylane.start({ files: [], words, waitsForPods: false });
    await graylane.apply(BASE);
    await addPod("shop-base", {});
    await addPod("shop-gray", { lane: "gray" });
    const binary = found.kind === "found" ? found.path : "";
    const options = { xdsPort, port: envoyPort, id: "edge-1" };
    envoy = await startGatewayEnvoy(binary, graylane, options);
    await graylane.published();
  });
  after(async () => {
    await envoy.stop();
    await graylane.stop();
    for (const backend of backends.values()) await backend.stop();
  });

  test("a header takes a request into the lane, and nobody writes the lane's header himself", async () => {
    const rule = "rule: { header: x-tier, operator: '==', value: gold }";
    await apply(group() + lane("gray", rule));
    const gray = { status: 200, pod: "shop-gray", lane: "gray" };
    const base = { status: 200, pod: "shop-base", lane: null };
    assert.deepEqual(await ask("/", [["x-tier", "gold"]]), gray);
    assert.deepEqual(await ask("/", [["x-tier", "goldfish"]]), base);
    assert.deepEqual(await ask("/"), base);
    assert.deepEqual(await ask("/", [[LANE_HEADER, "gray"]]), base);
  });

  for (const [rule, asked] of RULES) {
    test(`who meets it is in the lane: ${rule}`, async () => {
      await apply(group() + lane("gray", `rule: ${rule}`));
      for (const [isIn, path, headers = [], method = "GET"] of asked) {
        const { pod } = await ask(path, headers, method);
        const what = `${method} ${path} ${JSON.stringify(headers)}`;
        assert.equal(pod, isIn ? "shop-gray" : "shop-base", what);
      }
    });
  }

  test("a lane whose pods are gone falls back to the baseline, and comes back with them", async () => {
    const gold: Fields = [["x-tier", "gold"]];
    await removePod("shop-gray");
    assert.deepEqual(await ask("/", gold), { status: 200, pod: "shop-base", lane: "gray" });
    await addPod("shop-gray", { lane: "gray" });
    await graylane.published();
    assert.deepEqual(await ask("/", gold), { status: 200, pod: "shop-gray", lane: "gray" });
  });
});
