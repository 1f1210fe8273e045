//! The scenarios, in the order in which they are measured and reported.

import { fnv1a32 } from "../../src/base/fnv1a.ts";
import type { Condition, Snapshot } from "../../src/snapshot/snapshot.ts";
import { LANES, fieldsOf, laneConditions, test } from "../support/lane-rules.ts";
import type { Likeness } from "../support/lane-rules.ts";
import type { PlannedRequest } from "../support/open-loop.ts";
import { LARGE_BODY, LARGE_PATH } from "./large-body.ts";
import { planned } from "./scenario.ts";
import type { ContenderPlan, Ports, Scenario } from "./scenario.ts";
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
/** Of how many requests one enters a lane. */
const ENTERING_EVERY = 20;
/** The lane that requests enter, where there are many and where it is the only one. */
const ENTERED = 500;
/** Conditions that no index finds, and that only re2js can evaluate. */
const REGEXES = 100;

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
  laneRules("lane rules", "unlike"),
  laneRules("lane rules, values alike", "alike"),
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

function laneRules(name: string, likeness: Likeness): Scenario {
  const regexes = ruled("one lane, 100 regexes", [enteredOrRegexes()]);
  return {
    name,
    wrkScript: "lane-rules.lua",
    wrkArgument: likeness,
    contenders: [
      ruled("one lane", [laneConditions(ENTERED + 1, "regex")[ENTERED]]),
      ruled("1,000 lanes", laneConditions(LANES, "regex")),
      ruled("1,000 lanes, versions", laneConditions(LANES, "version")),
      ...(likeness === "unlike" ? [regexes] : []),
    ],
    request: (index: number): PlannedRequest => {
      const isEntering = index % ENTERING_EVERY === 0;
      const fields = fieldsOf(index, isEntering ? ENTERED : null, likeness);
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      return planned({ fields: lines.join("") }, isEntering ? "v2" : "v1");
    },
  };
}

function ruled(name: string, conditions: readonly (Condition | undefined)[]): ContenderPlan {
  const lanes = conditions.flatMap((condition, index) =>
    condition === undefined ? [] : [ruledLane(`lane-${index}`, condition)],
  );
  return {
    name,
    snapshot: (ports) => snapshotOf({ ports, laneGroups: [ruledGroup({ name: "rules", lanes })] }),
  };
}

/** A group of alternatives: it has no fixed start, and is not of the subset that needs no re2js. */
function enteredOrRegexes(): Condition {
  const regexes = Array.from({ length: REGEXES }, (_none, at) =>
    test("regex", "x-key-1", `(some|any)(body|one)-[0-9]+-${at + 2}`),
  );
  return { kind: "any", of: [test("==", "x-key-0", `user-${ENTERED}-0`), ...regexes] };
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
