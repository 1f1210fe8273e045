//! The scenarios, in the order in which they are measured and reported.

import { fnv1a32 } from "../../src/base/fnv1a.ts";
import type { Condition, Snapshot } from "../../src/snapshot/snapshot.ts";
import { test } from "../support/lane-rules.ts";
import type { PlannedRequest } from "../support/open-loop.ts";
import { LARGE_BODY, LARGE_PATH } from "./large-body.ts";
import { planned } from "./scenario.ts";
import type { Ports, Scenario } from "./scenario.ts";
import {
  CANARY_RANGE,
  laneGroup,
  laneRoutes,
  pluginFile,
  route,
  ruledGroup,
  ruledLane,
  snapshotOf,
} from "./snapshots.ts";

export const ENVOY = "Envoy";
const GRAYLANE = "Graylane";
const PLUGINS_MANY = 8;
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "plain proxy",
    wrkScript: "",
    contenders: [
      { name: ENVOY, envoyFile: "plain.yaml" },
      { name: GRAYLANE, snapshot: (ports) => snapshotOf({ ports }) },
    ],
    request: () => planned({ fields: "x-plain: 1\r\n" }, "v1"),
  },
  {
    name: "TLS",
    wrkScript: "",
    isSecure: true,
    contenders: [
      { name: ENVOY, envoyFile: "tls.yaml" },
      { name: GRAYLANE, snapshot: (ports) => snapshotOf({ ports, isSecure: true }) },
    ],
    request: () => planned({ fields: "" }, "v1"),
  },
  {
    name: "HTTP/2, many streams",
    wrkScript: "",
    http2Streams: 32,
    contenders: [
      { name: ENVOY, envoyFile: "plain.yaml" },
      { name: GRAYLANE, snapshot: (ports) => snapshotOf({ ports }) },
    ],
    request: () => planned({ fields: "" }, "v1"),
  },
  {
    name: "bodies of 1 MiB",
    wrkScript: "",
    path: LARGE_PATH,
    isBulky: true,
    contenders: [
      { name: ENVOY, envoyFile: "plain.yaml" },
      { name: GRAYLANE, snapshot: (ports) => snapshotOf({ ports }) },
    ],
    request: () => ({
      bytes: `GET ${LARGE_PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
      check: ({ status, body }) =>
        status === 200 && body.equals(LARGE_BODY) ? null : `${status}, ${body.length} bytes`,
    }),
  },
  hashTagging("lane routing with hash-tagging plug-in", 1),
  hashTagging("the plug-in eight times", PLUGINS_MANY),
  {
    name: "bodies",
    wrkScript: "bodies.lua",
    contenders: [
      { name: "no body rule", snapshot: (ports) => bodyRuled(ports, []) },
      {
        name: "body rule at another route",
        snapshot: (ports) => bodyRuled(ports, [jsonCondition()]),
      },
    ],
    request: () => planned({ method: "POST", fields: JSON_FIELD, body: JSON_BODY }, "v1"),
  },
  {
    name: "routes",
    wrkScript: "routes.lua",
    contenders: [
      { name: "10 routes of one host", snapshot: (ports) => routed(ports, 1) },
      { name: "10,000 routes of 1,000 hosts", snapshot: (ports) => routed(ports, 1_000) },
    ],
    request: (index) => planned({ path: `/path-${index % 10}`, fields: "" }, "v1"),
  },
];

function hashTagging(name: string, plugins: number): Scenario {
  return {
    name,
    wrkScript: "users.lua",
    contenders: [
      { name: ENVOY, envoyFile: "lanes.yaml", plugins },
      {
        name: GRAYLANE,
        snapshot: (ports, root) =>
          snapshotOf({
            ports,
            routes: laneRoutes(),
            laneGroups: [laneGroup()],
            plugins: Array.from({ length: plugins }, () => pluginFile(root)),
          }),
      },
    ],
    request: (index): PlannedRequest => {
      const user = index % 20 === 0 ? "jason" : `user-${index}`;
      const bucket = fnv1a32(Buffer.from(user)) % 100;
      const isCanary = user === "jason" || bucket < CANARY_RANGE;
      return planned({ fields: `x-user-id: ${user}\r\n` }, isCanary ? "v2" : "v1");
    },
  };
}

const JSON_FIELD = "content-type: application/json\r\n";
const JSON_BODY = JSON.stringify({ user: { id: "4711" }, items: ["a", "b", "c"], note: "x" });

function jsonCondition(): Condition {
  const operand = { kind: "bodyJson", name: "user.id" } as const;
  return { kind: "test", operand, operator: "==", values: ["4712"] };
}

/** Both have a lane by header at the route of the requests; the body rules are another group's. */
function bodyRuled(ports: Ports, conditions: readonly Condition[]): Snapshot {
  const lanes = [ruledLane("beta", test("==", "x-beta", "1"))];
  const elsewhere = conditions.map((condition) => ruledLane("bodies", condition));
  const entryRoutes = [{ virtualService: "default/elsewhere", route: null }];
  return snapshotOf({
    ports,
    laneGroups: [
      ruledGroup({ name: "rules", lanes }),
      ruledGroup({ name: "elsewhere", lanes: elsewhere, entryRoutes }),
    ],
  });
}

function routed(ports: Ports, hosts: number): Snapshot {
  const virtualHosts = Array.from({ length: hosts }, (_none, host) => ({
    domains: [host === hosts >> 1 ? "localhost" : `host-${host}.example`],
    routes: Array.from({ length: 10 }, (_nothing, index) =>
      route({ index, path: `/path-${index}` }),
    ),
  }));
  return snapshotOf({ ports, virtualHosts });
}
