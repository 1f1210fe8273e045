import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CODES } from "./codes.ts";
import { formatFault } from "./format-fault.ts";
import { parseManifests } from "./parse.ts";
import { KINDS } from "./registry.ts";
import { validateResource } from "./validate.ts";

const RUNS = 150;
const folder = resolve("examples/asm-hash-tagging");
const texts = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => readFileSync(join(folder, name), "utf8"));

/** Whatever the text, every fault is printable and has a code that the docs explain. */
function readAll(text: string): void {
  const parsed = parseManifests(text, "f.yaml");
  const faults = [...parsed.faults];
  for (const { value, positionOf } of parsed.documents) {
    const validated = validateResource(value, positionOf);
    faults.push(...validated.faults);
    const hasError = validated.faults.some(({ severity }) => severity === "error");
    assert.ok(validated.resource === null || !hasError);
  }
  for (const fault of faults) {
    assert.ok(CODES[fault.code] !== undefined, fault.code);
    assert.match(formatFault(fault), /^f\.yaml:\d+:\d+: (error|warning) GL\d{4}: /);
  }
}

test("a damaged manifest never throws", () => {
  const damage = fc.record({
    text: fc.constantFrom(...texts),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.nat(40),
    insert: fc.oneof(
      fc.string(),
      fc.constantFrom(
        "\n",
        "  ",
        "- ",
        ": ",
        "{",
        "[",
        "&a ",
        "*a",
        "!t ",
        "null",
        "-1",
        "'",
        "<<: ",
      ),
    ),
  });
  fc.assert(
    fc.property(damage, ({ text, at, drop, insert }) => {
      const start = Math.floor(at * text.length);
      readAll(text.slice(0, start) + insert + text.slice(start + drop));
    }),
    { numRuns: RUNS, seed: 1 },
  );
});

test("any value in the place of a spec never throws", () => {
  const field = fc.constantFrom(
    ...["http", "ports", "selector", "matchLabels", "template", "metadata", "containers"],
    ...["services", "context", "servers", "rule", "route", "match", "vmConfig", "env", "__proto__"],
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.constantFrom(null, true, 0, -1, 1.5, "", "x", "a b"),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(field, tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), value, (info, spec) => {
      const apiVersion = `${info.group === "" ? "" : `${info.group}/`}${info.storageVersion}`;
      const object = {
        apiVersion,
        kind: info.kind,
        metadata: spec,
        spec,
        status: spec,
        data: spec,
      };
      readAll(JSON.stringify(object));
      readAll(JSON.stringify({ ...object, metadata: { name: "x" } }));
    }),
    { numRuns: RUNS, seed: 2 },
  );
});
