//! apps/v1 Deployment: run by the local cluster as processes.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields, notHonouredFields } from "./fields.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { conditionsSchema, labelSelectorSchema, podTemplateSchema } from "./pod-template.ts";
import type { Condition, LabelSelector, PodTemplate } from "./pod-template.ts";
import { member } from "./member.ts";

export interface DeploymentSpec {
  readonly replicas: number;
  readonly selector: LabelSelector;
  readonly template: PodTemplate;
}

export interface DeploymentStatus {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly readyReplicas?: number;
  readonly availableReplicas?: number;
  readonly conditions?: readonly Condition[];
}

export interface Deployment extends Resource {
  readonly spec: DeploymentSpec;
  readonly status?: DeploymentStatus;
}

const spec = Type.Object({
  replicas: Type.Integer({ minimum: 0, default: 1 }),
  selector: labelSelectorSchema(),
  template: podTemplateSchema(),
  ...acceptedFields(
    "strategy",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "minReadySeconds",
  ),
  ...notHonouredFields("paused"),
});

const status = Type.Object(
  {
    observedGeneration: Type.Optional(Type.Integer()),
    replicas: Type.Optional(Type.Integer()),
    updatedReplicas: Type.Optional(Type.Integer()),
    readyReplicas: Type.Optional(Type.Integer()),
    availableReplicas: Type.Optional(Type.Integer()),
    conditions: Type.Optional(conditionsSchema()),
  },
  { openObject: true },
);

export const DEPLOYMENT: KindInfo = defineKind({
  kind: "Deployment",
  plural: "deployments",
  singular: "deployment",
  shortNames: ["deploy"],
  group: "apps",
  versions: ["v1"],
  schema: Type.Object({
    spec: described<DeploymentSpec, typeof spec>(spec),
    status: Type.Optional(described<DeploymentStatus, typeof status>(status)),
  }),
  columns: [
    column("READY", (object) => {
      const deployment = object as Deployment;
      return `${deployment.status?.readyReplicas ?? 0}/${deployment.spec.replicas}`;
    }),
    column("UP-TO-DATE", (object) => String((object as Deployment).status?.updatedReplicas ?? 0)),
    column("AVAILABLE", (object) => String((object as Deployment).status?.availableReplicas ?? 0)),
    wideColumn("CONTAINERS", (object) => listed(object as Deployment, (each) => each.name)),
    wideColumn("IMAGES", (object) => listed(object as Deployment, (each) => each.image ?? "")),
  ],
  check: checkDeployment,
});

function listed(
  deployment: Deployment,
  text: (container: PodTemplate["spec"]["containers"][number]) => string,
): string {
  return deployment.spec.template.spec.containers.map(text).join(",");
}

/** As the API server does: a selector that misses its own template would never own a pod. */
function checkDeployment(object: JsonObject, report: Report): void {
  const wanted = member(object, "spec", "selector", "matchLabels");
  const labels = member(object, "spec", "template", "metadata", "labels");
  if (typeof wanted !== "object" || wanted === null) {
    if (member(object, "spec", "selector") === undefined) return;
    report({
      code: "GL0104",
      path: ["spec", "selector"],
      says: "needs matchLabels",
      remedy: "Write the labels of spec.template.metadata.labels that identify the pods.",
    });
    return;
  }
  for (const [key, value] of Object.entries(wanted)) {
    if (member(labels, key) === value) continue;
    report({
      code: "GL0118",
      path: ["spec", "selector", "matchLabels", key],
      says: `is ${JSON.stringify(value)}, which spec.template.metadata.labels does not carry`,
      remedy: `Add the label ${key} with that value to the template.`,
    });
  }
}
