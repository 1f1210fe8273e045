//! From YAML to a snapshot, as a test of the whole way to the data plane needs it.

import assert from "node:assert/strict";
import { compile } from "../../src/compile/compile.ts";
import { parseManifests } from "../../src/resources/parse.ts";
import { validateResource } from "../../src/resources/validate.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";

/** With the codes of what there is to say, but for what is only information. */
export function compileYaml(text: string): {
  readonly snapshot: Snapshot;
  readonly codes: readonly string[];
} {
  const resources = parseManifests(text, "t.yaml").documents.map((document) => {
    const { resource, faults } = validateResource(document.value, document.positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const told = messages.filter(({ severity }) => severity !== "info");
  return { snapshot, codes: told.map(({ code }) => code) };
}
