import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "./json.ts";
import { listRulesOf } from "./list-rules.ts";
import {
  applyFields,
  fieldsOfManager,
  managedAfterUpdate,
  type Conflict,
  type Writer,
} from "./managed-fields.ts";

const HEAD = { apiVersion: "v1", kind: "Service", metadata: { name: "a" } };

function writer(manager: string, now = "2026-01-01T00:00:00Z"): Writer {
  const rules = listRulesOf("", "Service");
  return { manager, apiVersion: "v1", now, rules, subresource: "" };
}

function applied(live: Json | null, by: string, spec: Json, isForced = false): Json {
  const outcome = applyFields(live, { ...HEAD, spec }, writer(by), isForced);
  if (outcome.kind === "object") return outcome.object;
  throw new Error(JSON.stringify(outcome.conflicts));
}

function conflictsOf(live: Json, by: string, spec: Json): readonly Conflict[] {
  const outcome = applyFields(live, { ...HEAD, spec }, writer(by), false);
  return outcome.kind === "conflicts" ? outcome.conflicts : [];
}

function specOf(object: Json): unknown {
  return object["spec"];
}

/** What a PUT by `by` makes of it. */
function updated(live: Json, by: string, spec: Json, now?: string): Json {
  const next = { ...live, spec };
  const metadata = live["metadata"] as Json;
  const managedFields = managedAfterUpdate(live, next, writer(by, now));
  return { ...next, metadata: { ...metadata, managedFields } };
}

test("an applier owns what it sends, and items of a keyed list by their keys", () => {
  const object = applied(null, "one", { type: "x", ports: [{ port: 80, name: "http" }] });
  assert.deepEqual(fieldsOfManager(object, "one"), [
    '.spec.ports[port=80,protocol="TCP"]',
    '.spec.ports[port=80,protocol="TCP"].name',
    '.spec.ports[port=80,protocol="TCP"].port',
    ".spec.type",
  ]);
});

test("what an applier sends no more is removed, unless another owns it, too", () => {
  const first = applied(null, "one", { a: 1, b: 2 });
  const shared = applied(first, "two", { b: 2 });
  const last = applied(shared, "one", { c: 3 });
  assert.deepEqual(specOf(last), { b: 2, c: 3 });
});

test("two appliers with different items of a list keep both, and each removes its own", () => {
  const first = applied(null, "one", { ports: [{ port: 80 }] });
  const both = applied(first, "two", { ports: [{ port: 81 }] });
  assert.deepEqual(specOf(both), { ports: [{ port: 81 }, { port: 80 }] });
  const last = applied(both, "one", { ports: [{ port: 82 }] });
  assert.deepEqual(specOf(last), { ports: [{ port: 82 }, { port: 81 }] });
});

test("another value for another's field is a conflict that names field and manager", () => {
  const live = applied(null, "one", { a: 1, b: 2 });
  assert.deepEqual(conflictsOf(live, "two", { a: 1, b: 3 }), [
    {
      path: "f:spec\u0000f:b",
      manager: "one",
      operation: "Apply",
      apiVersion: "v1",
      field: ".spec.b",
    },
  ]);
});

test("force takes the field over, and its former owner may drop it without effect", () => {
  const live = applied(null, "one", { a: 1 });
  const taken = applied(live, "two", { a: 2 }, true);
  assert.deepEqual(fieldsOfManager(taken, "one"), []);
  assert.deepEqual(specOf(applied(taken, "one", {})), { a: 2 });
});

test("the same apply again changes nothing, not even a time", () => {
  const once = applied(null, "one", { a: 1 });
  const later = { ...writer("one"), now: "2026-02-02T00:00:00Z" };
  const outcome = applyFields(once, { ...HEAD, spec: { a: 1 } }, later, false);
  assert.deepEqual(outcome, { kind: "object", object: once });
});

test("an update takes over the fields that it changes, and only these", () => {
  const live = applied(null, "one", { a: 1, b: 2 });
  const next = updated(live, "editor", { a: 5, b: 2 });
  assert.deepEqual(fieldsOfManager(next, "editor"), [".spec.a"]);
  assert.deepEqual(fieldsOfManager(next, "one"), [".spec.b"]);
  assert.equal(conflictsOf(next, "one", { a: 1, b: 2 })[0]?.manager, "editor");
});

test("a field that an update removes is nobody's", () => {
  const live = applied(null, "one", { a: 1, b: 2 });
  assert.deepEqual(fieldsOfManager(updated(live, "editor", { a: 1 }), "one"), [".spec.a"]);
});

test("of many updaters the oldest become one", () => {
  let object: Json = { ...HEAD, spec: {} };
  for (let at = 10; at < 40; at += 1) {
    object = updated(object, `m${at}`, { [`f${at}`]: at, ...(object["spec"] as Json) }, `t${at}`);
  }
  const metadata = object["metadata"] as { managedFields: { manager: string }[] };
  assert.ok(metadata.managedFields.length <= 11);
  assert.equal(metadata.managedFields[0]?.manager, "ancient-changes");
  assert.ok(fieldsOfManager(object, "ancient-changes").includes(".spec.f10"));
});

test("managedFields that are no list, or hold garbage, count as none", () => {
  for (const managedFields of [null, "x", [1, { fieldsV1: 3 }], {}]) {
    const live = { ...HEAD, metadata: { name: "a", managedFields }, spec: { a: 1 } };
    assert.deepEqual(specOf(applied(live, "one", { a: 2 })), { a: 2 });
  }
});
