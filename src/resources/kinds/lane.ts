//! graylane.io Lane: which pods, which services, and which requests.

import Type from "typebox";
import type { Resource } from "../object.ts";
import { labels, oneOf, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { fillNamespaces, objectNameSchema } from "./lane-group.ts";
import type { ObjectName } from "./lane-group.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

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
  readonly rule?: {
    readonly header: string;
    readonly operator: "==";
    readonly value: string;
  };
}

export interface Lane extends Resource {
  readonly spec: LaneSpec;
}

const spec = Type.Object({
  group: text("dns-subdomain"),
  tag: Type.Optional(text("header-value")),
  selector: Type.Object({ matchLabels: labels() }),
  services: Type.Optional(Type.Array(objectNameSchema(), { uniqueBy: ["name", "namespace"] })),
  enabled: Type.Boolean({ default: true }),
  priority: Type.Integer({ default: 0, minimum: -2_147_483_648, maximum: 2_147_483_647 }),
  rule: Type.Optional(
    Type.Object({
      header: text("header-name"),
      operator: oneOf(["=="]),
      value: Type.Unsafe<string>({ type: "string", format: "header-value" }),
    }),
  ),
});

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
    column("PRIORITY", (object) => String((object as Lane).spec.priority)),
  ],
  fill: fillLane,
  check: checkLane,
});

function fillLane(object: JsonObject): void {
  fillNamespaces(items(member(object, "spec", "services")), object);
  const written = member(object, "spec");
  if (typeof written !== "object" || written === null) return;
  (written as JsonObject)["tag"] ??= member(object, "metadata", "name");
}

function checkLane(object: JsonObject, report: Report): void {
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
