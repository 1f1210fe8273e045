//! Where endpoints are: the gateway is at `r1/z1`.

import type { ParityCase, ParityGroup } from "../case.ts";
import { TO_A, destinationRule } from "../topology.ts";

const OUTLIERS = { consecutive5xxErrors: 5, interval: "1s", maxEjectionPercent: 100 };

/** Asked several times: by chance one would not see that others serve as well. */
const always = (name: string, hops: string): ParityCase[] =>
  Array.from({ length: 6 }, (_, index) => ({
    name: `${name}, request ${index + 1}`,
    ask: {},
    want: { hops },
  }));

function group(
  name: string,
  hops: string,
  setting: object,
  replicas: Readonly<Record<string, number>> = {},
): ParityGroup {
  const loadBalancer = { simple: "ROUND_ROBIN", localityLbSetting: setting };
  const trafficPolicy = { loadBalancer, outlierDetection: OUTLIERS };
  return {
    name: `places: ${name}`,
    objects: [TO_A, destinationRule("a", { trafficPolicy })],
    replicas,
    cases: always(name, hops),
  };
}

const TO_R2 = { distribute: [{ from: "r1/*", to: { r2: 100 } }] };
const BY_LABEL = { failoverPriority: ["topology.kubernetes.io/region", "lane=gray"] };

export const PLACE_GROUPS: readonly ParityGroup[] = [
  group("the nearest serve", "a-base", {}),
  group("the same region serves where the zone has nobody", "a-gray", {}, { "a-base": 0 }),
  group("all go where distribute says", "a-blue", TO_R2),
  group("labels go first", "a-gray", BY_LABEL),
];
