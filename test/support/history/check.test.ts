import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "./check.ts";
import type { Action, History, Listing, Operation, Outcome, WatchStep } from "./history.ts";

type Span = readonly [calledAt: number, returnedAt: number];

const EMPTY: History = { operations: [], listings: [], watchers: [], eventsKept: 10 };
const NEVER = Infinity;

function operation([calledAt, returnedAt]: Span, action: Action, outcome: Outcome): Operation {
  return { client: 0, key: "k", calledAt, returnedAt, action, outcome };
}

function read(span: Span, version: readonly [string, number] | null): Operation {
  const [value, revision] = version ?? ["", 0];
  const found = version === null ? null : { value, revision };
  return operation(span, { kind: "read" }, { kind: "found", version: found });
}

function create(span: Span, value: string, revision: number): Operation {
  return operation(span, { kind: "create", value }, { kind: "done", revision });
}

function update(
  span: Span,
  [value, expected]: readonly [string, number | null],
  outcome: Outcome | number,
): Operation {
  const answer =
    typeof outcome === "number" ? ({ kind: "done", revision: outcome } as const) : outcome;
  return operation(span, { kind: "update", value, expected }, answer);
}

function remove(span: Span, outcome: Outcome = { kind: "done", revision: null }): Operation {
  return operation(span, { kind: "delete", expected: null }, outcome);
}

const UNKNOWN: Outcome = { kind: "unknown" };
const CONFLICT: Outcome = { kind: "conflict" };

interface Case {
  readonly name: string;
  readonly operations: readonly Operation[];
  /** Absent: it is right. */
  readonly fault?: RegExp;
}

const NOT_LINEARIZABLE = /not linearizable/;

const keyCases: readonly Case[] = [
  {
    name: "one after the other",
    operations: [create([1, 2], "a", 1), update([3, 4], ["b", 1], 2), read([5, 6], ["b", 2])],
  },
  {
    name: "a read beside a write may see either",
    operations: [
      create([1, 2], "a", 1),
      update([3, 8], ["b", 1], 2),
      read([4, 5], ["a", 1]),
      read([6, 7], ["b", 2]),
    ],
  },
  {
    name: "a write without an answer may have been done, or not",
    operations: [
      create([1, 2], "a", 1),
      update([3, NEVER], ["b", 1], UNKNOWN),
      update([3, NEVER], ["c", 1], UNKNOWN),
      read([4, 5], ["a", 1]),
      read([6, 7], ["c", 2]),
    ],
  },
  {
    name: "nobody saw a write without an answer, but it explains a conflict",
    operations: [
      create([1, 2], "a", 1),
      update([3, NEVER], ["b", 1], UNKNOWN),
      update([4, 5], ["c", 1], CONFLICT),
      update([6, 7], ["d", null], 3),
    ],
  },
  {
    name: "a deletion between two creations",
    operations: [create([1, 2], "a", 1), remove([3, 4]), create([5, 6], "b", 3)],
  },
  {
    name: "a lost write",
    operations: [create([1, 2], "a", 1), update([3, 4], ["b", 1], 2), read([5, 6], ["a", 1])],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a write lost that another is based on",
    operations: [create([1, 2], "a", 1), update([3, 4], ["b", 1], 2), update([5, 6], ["c", 1], 3)],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "two writes at once based on one state",
    operations: [create([1, 2], "a", 1), update([3, 9], ["b", 1], 2), update([3, 9], ["c", 1], 3)],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a stale read, when another has seen more",
    operations: [
      create([1, 2], "a", 1),
      update([3, 9], ["b", 1], 2),
      read([4, 5], ["b", 2]),
      read([6, 7], ["a", 1]),
    ],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a read of what is not yet written",
    operations: [create([1, 2], "a", 1), read([3, 4], ["b", 2]), update([5, 6], ["b", 1], 2)],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a write that was refused and is there",
    operations: [
      create([1, 2], "a", 1),
      update([3, 4], ["b", 7], CONFLICT),
      read([5, 6], ["b", 2]),
    ],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a conflict without a reason",
    operations: [create([1, 2], "a", 1), update([3, 4], ["b", 1], CONFLICT)],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "two creations of one object",
    operations: [create([1, 5], "a", 1), create([2, 6], "b", 2)],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a creation refused where nothing is",
    operations: [
      create([1, 2], "a", 1),
      remove([3, 4]),
      operation([5, 6], { kind: "create", value: "b" }, { kind: "exists" }),
    ],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "an object that comes back after its deletion",
    operations: [create([1, 2], "a", 1), remove([3, 4]), read([5, 6], ["a", 1])],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a deletion of what is not found any more, though it is there",
    operations: [create([1, 2], "a", 1), remove([3, 4], { kind: "missing" })],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a write without an answer that was there, and then was not",
    operations: [
      create([1, 2], "a", 1),
      update([3, NEVER], ["b", 1], UNKNOWN),
      read([4, 5], ["b", 2]),
      read([6, 7], ["a", 1]),
    ],
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "a revision given twice",
    operations: [create([1, 2], "a", 1), update([3, 4], ["b", 1], 2), update([5, 6], ["c", 2], 2)],
    fault: /two writes at revision 2/,
  },
  {
    name: "a revision that falls, of two objects",
    operations: [create([1, 2], "a", 7), { ...create([3, 4], "b", 6), key: "other" }],
    fault: /revision 7 was known before/,
  },
];

for (const { name, operations, fault } of keyCases) {
  test(`writes and reads are ${fault === undefined ? "right" : "refused"}: ${name}`, () => {
    expect({ ...EMPTY, operations }, fault);
  });
}

function expect(history: History, fault: RegExp | undefined): void {
  const faults = faultsOf(history).join("\n");
  if (fault === undefined) assert.equal(faults, "");
  else assert.match(faults, fault);
}

/** Three writes, which the watchers below are told of. */
const WRITES: readonly Operation[] = [
  create([1, 2], "a", 1),
  update([3, 4], ["b", 1], 2),
  { ...create([5, 6], "c", 3), key: "other" },
  remove([7, 8]),
];

function listing(
  revision: number,
  versions: readonly (readonly [string, string, number])[],
): Listing {
  const entries = versions.map(([key, value, at]) => [key, { value, revision: at }] as const);
  return { client: 9, calledAt: 20, returnedAt: 21, revision, versions: new Map(entries) };
}

function event(
  type: "ADDED" | "MODIFIED" | "DELETED",
  key: string,
  at: readonly [string, number],
): WatchStep {
  return { kind: "event", type, key, version: { value: at[0], revision: at[1] }, at: 30 };
}

const BEGUN: readonly WatchStep[] = [
  { kind: "listed", life: 1, listing: { ...listing(0, []), calledAt: 0, returnedAt: 0 } },
  { kind: "opened", from: 0, life: 1 },
];
const [A, B, C, D] = [
  event("ADDED", "k", ["a", 1]),
  event("MODIFIED", "k", ["b", 2]),
  event("ADDED", "other", ["c", 3]),
  event("DELETED", "k", ["b", 4]),
];
const WHOLE: readonly WatchStep[] = [...BEGUN, A, B, C, D];
const bookmark = (revision: number): WatchStep => ({ kind: "bookmark", revision });
const opened = (from: number, life: number): WatchStep => ({ kind: "opened", from, life });
const expired = (life: number): WatchStep => ({ kind: "expired", life });
const relisted: WatchStep = { kind: "listed", life: 2, listing: listing(4, [["other", "c", 3]]) };

const watchCases: readonly {
  readonly name: string;
  readonly steps: readonly WatchStep[];
  readonly fault?: RegExp;
}[] = [
  { name: "all, in order", steps: WHOLE },
  { name: "going on where it was", steps: [...BEGUN, A, B, opened(2, 1), C, D] },
  { name: "going on from a bookmark", steps: [...BEGUN, A, B, bookmark(2), opened(2, 1), C, D] },
  {
    name: "listing again after a restart",
    steps: [...BEGUN, A, opened(1, 2), expired(2), relisted],
  },
  { name: "an event left out", steps: [...BEGUN, A, C, D], fault: /without .*"b","revision":2/ },
  {
    name: "one left out while it was away",
    steps: [...BEGUN, A, B, opened(2, 1), D],
    fault: /without/,
  },
  { name: "the last left out", steps: [...BEGUN, A, B, C], fault: /ended without .*DELETED/ },
  { name: "an event twice", steps: [...BEGUN, A, B, B, C, D], fault: /again/ },
  {
    name: "one again after it came back",
    steps: [...BEGUN, A, opened(1, 1), A, B, C, D],
    fault: /again/,
  },
  { name: "two in the wrong order", steps: [...BEGUN, A, C, B, D], fault: /out of order/ },
  {
    name: "an event of another value",
    steps: [...BEGUN, A, event("MODIFIED", "k", ["x", 2]), C, D],
    fault: /two writes at revision 2/,
  },
  {
    name: "an update told as a creation",
    steps: [...BEGUN, A, event("ADDED", "k", ["b", 2]), C, D],
    fault: /where it had/,
  },
  {
    name: "a deletion that nobody wrote",
    steps: [...BEGUN, A, event("DELETED", "k", ["a", 2]), C, D],
    fault: /two writes at revision 2/,
  },
  {
    name: "a bookmark ahead of an event",
    steps: [...BEGUN, A, bookmark(2), C, D],
    fault: /a bookmark, without/,
  },
  {
    name: "a 410 that was not due",
    steps: [...BEGUN, A, opened(1, 1), expired(1), relisted],
    fault: /refused with 410/,
  },
];

for (const { name, steps, fault } of watchCases) {
  test(`a watch is ${fault === undefined ? "right" : "refused"}: ${name}`, () => {
    expect({ ...EMPTY, operations: WRITES, watchers: [WHOLE, steps] }, fault);
  });
}

const listCases: readonly {
  readonly name: string;
  readonly list: Listing;
  readonly fault?: RegExp;
}[] = [
  { name: "the last state", list: listing(4, [["other", "c", 3]]) },
  {
    name: "an old state",
    list: listing(3, [
      ["k", "b", 2],
      ["other", "c", 3],
    ]),
    fault: NOT_LINEARIZABLE,
  },
  {
    name: "an object too many",
    list: listing(4, [
      ["k", "b", 2],
      ["other", "c", 3],
    ]),
    fault: /changed at 4/,
  },
  { name: "an object too few", list: listing(4, []), fault: /has no other/ },
  {
    name: "two moments in one",
    list: {
      ...listing(3, [
        ["k", "a", 1],
        ["other", "c", 3],
      ]),
      calledAt: 2,
      returnedAt: 30,
    },
    fault: /changed at 2/,
  },
];

for (const { name, list, fault } of listCases) {
  test(`a list is ${fault === undefined ? "right" : "refused"}: ${name}`, () => {
    expect({ ...EMPTY, operations: WRITES, watchers: [WHOLE], listings: [list] }, fault);
  });
}
