//! Every case, in the order in which they run.

import type { ParityGroup } from "../case.ts";
import { ACTION_GROUPS } from "./actions.ts";
import { BAGGAGE_GROUPS } from "./baggage.ts";
import { BODY_RULE_GROUPS } from "./body-rules.ts";
import { CHANGE_GROUPS } from "./changes.ts";
import { CLAIM_RULE_GROUPS } from "./claim-rules.ts";
import { LANE_GROUPS } from "./lanes.ts";
import { MATCH_GROUPS } from "./matches.ts";
import { MESH_GROUPS } from "./mesh.ts";
import { MESSAGE_GROUPS } from "./messages.ts";
import { PLACE_GROUPS } from "./places.ts";
import { ROUTE_FILTER_GROUPS } from "./route-filters.ts";
import { RULE_GROUPS } from "./rules.ts";
import { STICKY_GROUPS } from "./sticky-shares.ts";
import { WALKTHROUGH_GROUPS } from "./walkthroughs.ts";

export const GROUPS: readonly ParityGroup[] = [
  ...[...MATCH_GROUPS, ...ACTION_GROUPS, ...ROUTE_FILTER_GROUPS, ...MESSAGE_GROUPS],
  ...[
    ...RULE_GROUPS,
    ...BODY_RULE_GROUPS,
    ...CLAIM_RULE_GROUPS,
    ...LANE_GROUPS,
    ...STICKY_GROUPS,
    ...CHANGE_GROUPS,
  ],
  ...[...PLACE_GROUPS, ...MESH_GROUPS, ...BAGGAGE_GROUPS, ...WALKTHROUGH_GROUPS],
];
