//! graylane.io Lane: which pods, which services, and which requests.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { labels, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { fillNamespaces, objectNameSchema } from "./lane-group.ts";
import type { ObjectName } from "./lane-group.ts";
import { checkRule } from "./lane-rule.ts";
import type { LaneRule } from "./lane-rule.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { checkLaneRatio, fillLaneRatio, laneRatioSchema } from "./ratio.ts";
import type { LaneRatio } from "./ratio.ts";

export interface LaneSpec {
  /** The LaneGroup's name, in the same namespace. */
  readonly group: string;
  /** The value of the route header; filled with the lane's name. */
  readonly tag?: string;
  readonly selector: { readonly matchLabels: Labels };
  /** The services that this lane holds; absent: whichever have such pods. */
  readonly services?: readonly ObjectName[];
  readonly enabled: boolean;
  /** Smaller decides first; then the name. */
  readonly priority: number;
  readonly rule?: LaneRule;
  /** Who meets one of these is in the lane before any rule is asked. */
  readonly forcedIn?: readonly LaneRule[];
  /** Who meets one of these is not taken by `forcedIn`, rule or share. */
  readonly forcedOut?: readonly LaneRule[];
  /** What the lane takes of the requests that nothing else has decided. */
  readonly ratio?: LaneRatio;
  /** With the fallback policy `chain`: the lane that stands in for this one. */
  readonly parent?: string;
  /** Who answers for the lane: shown, not used. */
  readonly owner?: string;
  /** RFC 3339. From then on the lane is closed. */
  readonly expiresAt?: string;
}

export interface Lane extends Resource {
  readonly spec: LaneSpec;
}

/** Items of `forcedIn` and `forcedOut`; each may hold a list of values. */
export const FORCED_CONDITIONS_MAX = 100;

/** As kubectl shows what is not there. */
const NOTHING = "<none>";

const spec = Type.Object({
  group: text("dns-subdomain"),
  tag: Type.Optional(text("lane-tag")),
  selector: Type.Object({ matchLabels: labels() }),
  services: Type.Optional(Type.Array(objectNameSchema(), { uniqueBy: ["name", "namespace"] })),
  enabled: Type.Boolean({ default: true }),
  priority: Type.Integer({ default: 0, minimum: -2_147_483_648, maximum: 2_147_483_647 }),
  // What stands in a rule is checked by `checkRule`: it nests without end.
  rule: Type.Optional(ruleSchema()),
  forcedIn: Type.Optional(Type.Array(ruleSchema(), { maxItems: FORCED_CONDITIONS_MAX })),
  forcedOut: Type.Optional(Type.Array(ruleSchema(), { maxItems: FORCED_CONDITIONS_MAX })),
  ratio: Type.Optional(laneRatioSchema()),
  parent: Type.Optional(text("dns-subdomain")),
  owner: Type.Optional(text()),
  expiresAt: Type.Optional(text("date-time")),
});

function ruleSchema(): TUnsafe<LaneRule> {
  return Type.Unsafe<LaneRule>({ type: "object", openObject: true });
}

export const LANE: KindInfo = defineKind({
  kind: "Lane",
  plural: "lanes",
  singular: "lane",
  group: "graylane.io",
  versions: ["v1alpha1"],
  schema: Type.Object({ spec: described<LaneSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("GROUP", (object) => (object as Lane).spec.group),
    column("TAG", (object) => (object as Lane).spec.tag ?? object.metadata.name),
    column("ENABLED", (object) => String((object as Lane).spec.enabled)),
    column("MEMBERS", (object) => found(object, "services", " services")),
    column("SHARE", (object) => found(object, "share")),
    column("PRIORITY", (object) => String((object as Lane).spec.priority)),
    wideColumn("OWNER", (object) => (object as Lane).spec.owner ?? ""),
    wideColumn("EXPIRES", (object) => (object as Lane).spec.expiresAt ?? ""),
  ],
  fill: fillLane,
  check: checkLane,
});

/** A text that the publisher has written into the status; nothing before it has. */
function found({ status }: Resource, name: string, what = ""): string {
  const value = member(status, name);
  return typeof value === "string" ? `${value}${what}` : NOTHING;
}

function fillLane(object: JsonObject): void {
  fillNamespaces(items(member(object, "spec", "services")), object);
  fillLaneRatio(object);
  const written = member(object, "spec");
  if (typeof written !== "object" || written === null) return;
  (written as JsonObject)["tag"] ??= member(object, "metadata", "name");
}

function checkLane(object: JsonObject, report: Report): void {
  checkSelector(object, report);
  checkLaneRatio(object, report);
  const rule = member(object, "spec", "rule");
  if (rule !== undefined) checkRule(rule, ["spec", "rule"], report);
  for (const list of ["forcedIn", "forcedOut"]) {
    items(member(object, "spec", list)).forEach((item, index) => {
      checkRule(item, ["spec", list, index], report);
    });
  }
}

function checkSelector(object: JsonObject, report: Report): void {
  const matchLabels = member(object, "spec", "selector", "matchLabels");
  if (typeof matchLabels !== "object" || matchLabels === null) return;
  if (Object.keys(matchLabels).length > 0) return;
  report({
    code: "GL0104",
    path: ["spec", "selector", "matchLabels"],
    says: "needs at least one label, else the lane would hold every pod",
    remedy: "Write the label that the lane's pods carry, e.g. alicloud.service.tag: gray.",
  });
}
