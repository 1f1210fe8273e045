//! Lanes and pods that come and go, and pods that are not well.

import type { ParityGroup } from "../case.ts";
import type { Engine } from "../engine.ts";
import {
  LANES,
  TO_A,
  destinationRule,
  lane,
  laneGroup,
  routes,
  subsetsOf,
  to,
} from "../topology.ts";
import { BASE, BLUE, GRAY, context, go, walk } from "./walk.ts";

const CHANGES: readonly ParityGroup[] = [
  {
    name: "change: before",
    objects: [TO_A, laneGroup(), ...LANES],
    cases: [walk("both lanes are there", go("blue"), BLUE)],
  },
  {
    name: "change: a lane goes",
    objects: [TO_A, laneGroup(), lane("gray")],
    cases: [
      walk("its requests are the baseline's", go("blue"), BASE),
      walk("the other lane stays", go("gray"), GRAY),
    ],
  },
  {
    name: "change: the lane comes back under another tag",
    objects: [TO_A, laneGroup(), lane("gray"), lane("blue", { tag: "azure" })],
    cases: [
      walk("with the new tag", go("blue"), {
        hops: "a-blue b-base c-blue",
        lanes: "azure azure azure",
      }),
    ],
  },
  {
    name: "change: a lane is closed",
    objects: [TO_A, laneGroup(), lane("gray", { enabled: false }), lane("blue")],
    cases: [walk("nobody enters it", go("gray"), BASE), walk("the other does", go("blue"), BLUE)],
  },
  {
    name: "change: Deployments of a lane go",
    objects: [TO_A, laneGroup(), ...LANES],
    replicas: { "a-gray": 0, "c-blue": 0 },
    cases: [
      walk("the entry falls back, the next hop is in the lane", go("gray"), {
        hops: "a-base b-gray c-base",
        lanes: "gray gray gray",
      }),
      walk("the last hop falls back", go("blue"), { hops: "a-blue b-base c-base" }),
    ],
  },
  {
    name: "change: they come back, and the baseline's goes",
    objects: [TO_A, laneGroup(), ...LANES],
    replicas: { "b-base": 0 },
    cases: [
      walk("the lane is whole again", go("gray"), GRAY),
      walk("a lane without a copy has nothing to fall back to", go("blue"), { hops: "a-blue 503" }),
      walk("the baseline's hop is a 503", [], { hops: "a-base 503" }),
    ],
  },
  {
    name: "change: the group goes",
    objects: [routes([{ route: [to("a", "gray")] }]), subsetsOf("a")],
    cases: [
      {
        name: "a subset of the lane's name is the DestinationRule's now",
        ask: { headers: context("blue") },
        want: { hops: "a-gray", lanes: "blue" },
      },
    ],
  },
];

const CHECK = JSON.stringify({
  ...{ interval: "0.2s", timeout: "1s", unhealthy_threshold: 1, healthy_threshold: 1 },
  http_health_check: { path: "/healthz" },
});

function healthy(name: string, isWell: boolean): (engine: Engine) => Promise<void> {
  return async (engine) => {
    const [address = ""] = await engine.podAddresses(`track=${name}`);
    const headers = { "x-do": `well=${isWell ? "yes" : "no"}` };
    await (await fetch(`http://${address}:8000/`, { headers })).text();
  };
}

const CHECKED = destinationRule("a", {}, { "graylane.io/health-check": CHECK });
const LATER = { isEventual: true } as const;

const HEALTH: readonly ParityGroup[] = [
  {
    name: "health: the lane's only pod fails its check",
    objects: [TO_A, laneGroup(), ...LANES, CHECKED],
    prepare: healthy("a-gray", false),
    cases: [
      {
        ...walk("the baseline stands in", go("gray"), { hops: "a-base b-gray c-base" }),
        ...LATER,
      },
      walk("other lanes are not touched", go("blue"), BLUE),
    ],
  },
  {
    name: "health: where the group is strict",
    objects: [TO_A, laneGroup({ fallback: "strict" }), ...LANES, CHECKED],
    cases: [walk("the gateway answers 503", go("gray"), { status: 503 })],
  },
  {
    name: "health: the pod is well again",
    objects: [TO_A, laneGroup(), ...LANES, CHECKED],
    prepare: healthy("a-gray", true),
    cases: [{ ...walk("the lane's requests come back", go("gray"), GRAY), ...LATER }],
  },
];

export const CHANGE_GROUPS: readonly ParityGroup[] = [...CHANGES, ...HEALTH];
