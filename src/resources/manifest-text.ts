//! Objects as one YAML text, as `kubectl apply -f` takes it.

import { stringify } from "yaml";

/** Documents with `---` between; equal objects give an equal text. */
export function manifestText(objects: readonly object[]): string {
  const options = { aliasDuplicateObjects: false, lineWidth: 0 } as const;
  return objects.map((object) => stringify(object, options)).join("---\n");
}
