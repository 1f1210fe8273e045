import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";
import type { LaneGroup, Subset } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { eventually } from "../testing/fixture.ts";
import { endAll, sendRaw, startGateway, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import type { ExchangeRecord } from "../observer.ts";
import { DEFAULT_EDGE } from "./edge-fields.ts";

const B = cluster("b");
const GATEWAY = "istio=ingressgateway";
const GROUP = laneGroupOf({
  gateways: [GATEWAY],
  services: ["default/b"],
  context: { mode: "header", routeHeader: "x-tag" },
  lanes: ["gray", "blue"].map((name) =>
    laneOf(name, {
      rule: {
        programVersion: 2,
        condition: {
          kind: "test",
          operand: { kind: "header", name: "canary" },
          operator: "==",
          values: [name],
        },
      },
    }),
  ),
});

interface Case {
  readonly group?: Partial<LaneGroup>;
  readonly edge?: EdgeSettings;
  readonly subset?: Subset;
  /** Without a pod of the lane gray and of the baseline. */
  readonly isEmpty?: boolean;
  readonly request: string;
}

after(endAll);

interface Answer {
  /** The response's fields that tell of the lane. */
  readonly fields: readonly string[];
  readonly records: readonly ExchangeRecord[];
}

async function ask({ group, edge, subset, isEmpty, request }: Case): Promise<Answer> {
  const seen: string[] = [];
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", (head: Buffer) => {
      seen.push(head.toString());
      const forged = "X-Graylane-Lane: forged\r\nx-graylane-other: forged\r\n";
      socket.end(`HTTP/1.1 200 OK\r\n${forged}content-length: 0\r\n\r\n`);
    });
  });
  const pods = ["gray", ""].map((lane) => endpoint(upstream.port, lane === "" ? {} : { lane }));
  const route = forwardRoute(B.name);
  assert.ok(route.action.kind === "forward");
  const destinations = route.action.destinations.map((one) =>
    subset === undefined
      ? one
      : { ...one, target: { kind: "cluster" as const, cluster: B.name, subset } },
  );
  const snapshot = gatewaySnapshot(80, [{ ...route, action: { kind: "forward", destinations } }], {
    clusters: { [B.name]: B },
    endpoints: { [B.name]: { endpoints: isEmpty === true ? [] : pods } },
    laneGroups: { [GROUP.name]: { ...GROUP, ...group } },
  });
  const gateway = snapshot.gateways[GATEWAY];
  assert.ok(gateway !== undefined);
  const gateways = { [GATEWAY]: edge === undefined ? gateway : { ...gateway, edge } };
  const port = await freePort();
  const { records } = await startGateway(port, { ...snapshot, gateways });
  const text = await sendRaw(
    port,
    `GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: r1\r\n${request}\r\n`,
  );
  await eventually(() => records.length > 0);
  assert.ok(!seen.join("").includes("x-graylane"), "the upstream sees what is ours");
  return { fields: text.split("\r\n").filter((line) => line.startsWith("x-graylane-")), records };
}

const ASKED = "x-graylane-trace: 1\r\n";
const GRAY = "canary: gray\r\n";
const PROXY: EdgeSettings = { ...DEFAULT_EDGE, trustedProxies: 1 };
const LANE = "x-graylane-lane: gray; reason=rule; served=gray";
const TRACE =
  "x-graylane-trace: group=default/shop; lane=gray; reason=rule; hop=default/b; " +
  "wanted=gray; served=gray; why=lane; request=r1";

const TOKEN = "a-token-of-some-length";
const DIGEST = createHash("sha256").update(TOKEN).digest("base64");
const TOKENS = [
  { name: "who has the token is told from any address", token: TOKEN, isTold: true },
  { name: "another token is not believed", token: `${TOKEN}x`, isTold: false },
  { name: "the token's digest is no token", token: DIGEST, isTold: false },
  { name: "an empty token is none", token: "", isTold: false },
];

const cases: readonly (Case & { readonly name: string; readonly want: readonly string[] })[] = [
  { name: "a caller on this machine is told the lane", request: GRAY, want: [LANE] },
  { name: "who asks is told the hop too", request: GRAY + ASKED, want: [LANE, TRACE] },
  {
    name: "another value than 1 does not ask",
    request: `${GRAY}x-graylane-trace: 0\r\n`,
    want: [LANE],
  },
  {
    name: "a fallback says which lane was wanted, which served, and why",
    request: `canary: blue\r\n${ASKED}`,
    want: [
      "x-graylane-lane: blue; reason=rule; served=baseline; fallback:no-copy",
      "x-graylane-trace: group=default/shop; lane=blue; reason=rule; hop=default/b; " +
        "wanted=blue; served=baseline; why=fallback:no-copy; request=r1",
    ],
  },
  {
    name: "the answer of a hop that nobody serves says that none did",
    group: { fallback: "strict" },
    isEmpty: true,
    request: GRAY + ASKED,
    want: [
      "x-graylane-lane: gray; reason=rule; served=baseline; fallback:no-copy",
      "x-graylane-trace: group=default/shop; lane=gray; reason=rule; hop=default/b; " +
        "wanted=gray; served=none; why=fallback:no-copy; request=r1",
    ],
  },
  {
    name: "a subset's name is shown without what a header cannot carry",
    subset: { kind: "labels", name: "a\r\nb", labels: {} },
    request: ASKED,
    want: [
      "x-graylane-lane: baseline; reason=baseline; served=baseline",
      "x-graylane-trace: group=default/shop; lane=baseline; reason=baseline; hop=default/b; " +
        "wanted=a??b; served=baseline; why=cluster; request=r1",
    ],
  },
  {
    name: "networks that hold the caller allow it",
    group: { traceFrom: ["10.0.0.0/8", "127.0.0.0/8"] },
    request: GRAY + ASKED,
    want: [LANE, TRACE],
  },
  {
    name: "networks without the caller refuse it, on this machine too",
    group: { traceFrom: ["10.0.0.0/8"] },
    request: GRAY + ASKED,
    want: [],
  },
  { name: "no network allows nobody", group: { traceFrom: [] }, request: GRAY + ASKED, want: [] },
  {
    name: "behind a trusted proxy the address that it names counts",
    group: { traceFrom: ["10.0.0.0/8"] },
    edge: PROXY,
    request: `${GRAY}${ASKED}x-forwarded-for: 10.1.2.3\r\n`,
    want: [LANE, TRACE],
  },
  {
    name: "a proxy on this machine does not make its clients callers on this machine",
    edge: PROXY,
    request: `${GRAY}${ASKED}x-forwarded-for: 10.1.2.3\r\n`,
    want: [],
  },
  {
    name: "without a trusted proxy an address that the client claims counts for nothing",
    group: { traceFrom: ["10.0.0.0/8"] },
    request: `${GRAY}${ASKED}x-forwarded-for: 10.1.2.3\r\n`,
    want: [],
  },
  ...TOKENS.map(({ name, token, isTold }) => ({
    name,
    group: { traceFrom: [], traceTokenDigest: DIGEST },
    request: `${GRAY}${ASKED}x-graylane-token: ${token}\r\n`,
    want: isTold ? [LANE, TRACE] : [],
  })),
  {
    name: "a token of a group that has none counts for nothing",
    group: { traceFrom: [] },
    request: `${GRAY}x-graylane-token: ${TOKEN}\r\n`,
    want: [],
  },
  {
    name: "where no lane group is entered there is nothing to tell",
    group: { gateways: [] },
    request: GRAY + ASKED,
    want: [],
  },
];
for (const { name, want, ...each } of cases) {
  test(name, async () => {
    assert.deepEqual((await ask(each)).fields, want);
  });
}

test("the record of a fallback has the stand-in and the reason", async () => {
  const shown = async (request: string): Promise<unknown> =>
    (await ask({ request })).records.map(({ fallback, fallbackReason }) => ({
      fallback,
      fallbackReason,
    }));
  assert.deepEqual(await shown(GRAY), [{ fallback: "", fallbackReason: "" }]);
  assert.deepEqual(await shown("canary: blue\r\n"), [
    { fallback: "baseline", fallbackReason: "fallback:no-copy" },
  ]);
});
