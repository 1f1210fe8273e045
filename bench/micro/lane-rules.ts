//! What a thousand lanes with ten rules each cost for one decision, beside one lane; and what a rule
//! with a regular expression costs, of the kind that JavaScript's engine runs and of the other.
//! Run: `npx tsx bench/micro/lane-rules.ts`.

import { decideLane, prepareLaneGroup } from "../../src/lane/decide.ts";
import type { DecisionInput, PreparedLaneGroup } from "../../src/lane/decide.ts";
import type { Condition, Lane } from "../../src/snapshot/snapshot.ts";
import { laneGroupOf } from "../../src/snapshot/testing/lane-maker.ts";
import { LANES, fieldsOf, laneConditions, test } from "../support/lane-rules.ts";
import type { Likeness } from "../support/lane-rules.ts";

const DECISIONS = 1_000;
const ROUNDS = 150;
/** Enough that what is remembered of one value hardly ever helps another request. */
const REQUESTS = 5_000;

function groupOf(conditions: readonly Condition[]): PreparedLaneGroup {
  const lanes = conditions.map((condition, index): Lane => ({
    name: `lane-${index}`,
    tag: `lane-${index}`,
    selector: {},
    services: [],
    enabled: true,
    rule: { programVersion: 2, condition },
  }));
  return prepareLaneGroup(
    laneGroupOf({
      name: "default/bench",
      gateways: [],
      baseline: { kind: "untagged", labelKeys: [] },
      lanes,
    }),
  );
}

/** A head as the gateway gets it: the texts of its fields are made anew for each request. */
interface Head {
  readonly bytes: Latin1Buffer;
  readonly names: readonly string[];
  /** Where each value begins and ends. */
  readonly bounds: readonly number[];
}

type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string };

/** Every header that rules look at is there; one in ten requests meets a rule. */
function heads(likeness: Likeness): Head[] {
  return Array.from({ length: REQUESTS }, (_none, at) => {
    const fields = fieldsOf(at, at % 10 === 0 ? at % LANES : null, likeness);
    let text = "";
    const bounds: number[] = [];
    for (const [name, value] of Object.entries(fields)) {
      text += `${name}: `;
      bounds.push(text.length, text.length + value.length);
      text += `${value}\r\n`;
    }
    return { bytes: Buffer.from(text) as Latin1Buffer, names: Object.keys(fields), bounds };
  });
}

function inputOf({ bytes, names, bounds }: Head): DecisionInput {
  const text = bytes.latin1Slice(0, bytes.length);
  const values: string[] = [];
  for (let at = 0; at < bounds.length; at += 2) {
    values.push(text.substring(bounds[at] ?? 0, bounds[at + 1]));
  }
  const read = (name: string): string | undefined => values[names.indexOf(name)];
  return { context: read, operand: (_kind, name) => read(name), isEntry: true };
}

/** Nanoseconds of one request; without a group its texts are made, no more. */
function measure(
  group: PreparedLaneGroup | null,
  requests: readonly Head[],
  round: number,
): number {
  const startNs = process.hrtime.bigint();
  for (let count = 0; count < DECISIONS; count += 1) {
    const head = requests[(round * DECISIONS + count) % requests.length];
    if (head === undefined) continue;
    const input = inputOf(head);
    if (group !== null) decideLane(group, input);
  }
  return Number(process.hrtime.bigint() - startNs) / DECISIONS;
}

const LINEAR = "[a-z]+-[0-9]+-9";
const GROUPS = "(some|any)body-[0-9]+-9";
const rows: readonly (readonly [string, PreparedLaneGroup | null])[] = [
  ["no decision", null],
  ["one lane, one rule ==", groupOf([test("==", "x-key-0", "user-1-1")])],
  ["one lane, 10 rules", groupOf(laneConditions(501, "regex").slice(500))],
  ["1,000 lanes, 10 rules each", groupOf(laneConditions(LANES, "regex"))],
  ["the same, others of versions", groupOf(laneConditions(LANES, "version"))],
  [`one lane, ${LINEAR}`, groupOf([test("regex", "x-key-0", LINEAR)])],
  [`one lane, ${GROUPS}`, groupOf([test("regex", "x-key-0", GROUPS)])],
];
// The best of many short rounds, in turn: what else runs on the machine then disturbs least.
for (const likeness of ["unlike", "alike"] as const) {
  const requests = heads(likeness);
  const best = rows.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round += 1) {
    rows.forEach(([, group], at) => {
      best[at] = Math.min(best[at] ?? Infinity, measure(group, requests, round));
    });
  }
  rows.forEach(([name], at) => {
    const label = `${name}, values ${likeness}`;
    process.stdout.write(`${label.padEnd(50)} ${best[at]?.toFixed(0)} ns a request\n`);
  });
}
