//! Lanes and their groups for tests, which say only what they are about.

import type { Condition, Lane, LaneGroup } from "../snapshot.ts";

/** Its tag is its name, and so is the label `lane` of its pods. Nobody enters it. */
export function laneOf(name: string, changes: Partial<Lane> = {}): Lane {
  return {
    name,
    tag: name,
    selector: { lane: name },
    services: [],
    enabled: true,
    rule: null,
    ...changes,
  };
}

export function ruleOf(condition: Condition): NonNullable<Lane["rule"]> {
  return { programVersion: 2, condition };
}

/** `default/shop` at the gateway of `gatewaySnapshot`, its lanes carried in `x-lane`. */
export function laneGroupOf(changes: Partial<LaneGroup> = {}): LaneGroup {
  return {
    name: "default/shop",
    source: { kind: "LaneGroup", namespace: "default", name: "shop" },
    gateways: ["istio=ingressgateway"],
    services: [],
    baseline: { kind: "untagged", labelKeys: ["lane"] },
    fallback: "permissive",
    serviceFallback: {},
    context: { mode: "header", routeHeader: "x-lane" },
    stripFromClients: true,
    lanes: [],
    ...changes,
  };
}
