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
  matches(resource: Resource): boolean;
}

/** Throws 400 for a selector that cannot be read or a field that cannot be selected by. */
export function selectionOf(call: Call, path: KindPath): Selection {
  const { group, plural } = path.info;
  const { namespace } = path;
  const requirements = labelRequirements(call.query.get("labelSelector") ?? "");
  const fields = fieldConditions(call.query.get("fieldSelector") ?? "");
  return {
    filter: namespace === null ? { group, plural } : { group, plural, namespace },
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
