//! Which objects of a kind a list or a watch wants: namespace, labels, name.

import type { StoreFilter } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import {
  matchesRequirements,
  parseLabelSelector,
  type LabelRequirement,
} from "../resources/selector.ts";
import type { Call } from "./call.ts";
import type { KindPath } from "./kind-path.ts";
import { badRequest } from "./status.ts";

export interface Selection {
  readonly filter: StoreFilter;
  /** As they were sent; both empty: every object of the filter matches. */
  readonly selectors: { readonly labels: string; readonly fields: string };
  matches(resource: Resource): boolean;
}

/** Throws 400 for a selector that cannot be read or a field that cannot be selected by. */
export function selectionOf(call: Call, path: KindPath): Selection {
  const { group, plural } = path.info;
  const { namespace } = path;
  const selectors = {
    labels: call.query.get("labelSelector") ?? "",
    fields: call.query.get("fieldSelector") ?? "",
  };
  const requirements = labelRequirements(selectors.labels);
  const fields = fieldConditions(selectors.fields);
  return {
    filter: namespace === null ? { group, plural } : { group, plural, namespace },
    selectors,
    matches: (resource) =>
      matchesRequirements(requirements, resource.metadata.labels) &&
      fields.every((holds) => holds(resource)),
  };
}

function labelRequirements(text: string): readonly LabelRequirement[] {
  const parsed = parseLabelSelector(text);
  if (parsed.kind === "fault") throw badRequest(`labelSelector: ${parsed.message}`);
  return parsed.requirements;
}

function fieldConditions(text: string): ((resource: Resource) => boolean)[] {
  const parts = text.split(",").filter((part) => part !== "");
  return parts.map((part) => {
    const match = /^metadata\.(name|namespace)(!=|==|=)(.*)$/.exec(part);
    if (match === null) {
      throw badRequest(
        `fieldSelector: cannot select by ${JSON.stringify(part)}; ` +
          "metadata.name and metadata.namespace can be selected by",
      );
    }
    const [, field, operator, value] = match;
    return ({ metadata }) => {
      const actual = field === "name" ? metadata.name : (metadata.namespace ?? "");
      return (actual === value) === (operator !== "!=");
    };
  });
}
