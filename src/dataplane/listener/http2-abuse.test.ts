import assert from "node:assert/strict";
import { test } from "node:test";
import { AbuseCount } from "./http2-abuse.ts";

const SECOND_MS = 1_000;
const MANY = 2_000;

/** Each second so many idle frames, for so many of ours. */
function run(idleFrames: number, sentFrames: number): boolean {
  const abuse = new AbuseCount();
  for (let second = 1; second <= 25; second += 1) {
    abuse.onSent(sentFrames);
    for (let frame = 0; frame < idleFrames; frame += 1) {
      if (abuse.onIdleFrame(second * SECOND_MS)) return true;
    }
  }
  return false;
}

const INNOCENT = [
  ["an upload that opens windows now and then", 100, 0],
  ["a download whose windows are opened after each frame", 2 * MANY, MANY],
] as const;

for (const [name, idleFrames, sentFrames] of INNOCENT) {
  test(`${name} is no abuse`, () => {
    assert.equal(run(idleFrames, sentFrames), false);
  });
}

test("frames for nothing are, and more than four for one of ours", () => {
  assert.equal(run(MANY, 0), true);
  assert.equal(run(5 * MANY, MANY), true);
});

test("what answers the frames of a window may come in the next one", () => {
  const abuse = new AbuseCount();
  assert.equal(abuse.onIdleFrame(0), false);
  abuse.onSent(MANY);
  for (let frame = 0; frame < 4 * MANY; frame += 1) {
    assert.equal(abuse.onIdleFrame(10_000), false);
  }
});

const FLOODS = [
  ["resets", 500, (abuse: AbuseCount, nowMs: number) => abuse.onReset(nowMs)],
  ["PING and SETTINGS frames", 1_000, (abuse: AbuseCount, nowMs: number) => abuse.onControl(nowMs)],
  ["idle frames", 2_000, (abuse: AbuseCount, nowMs: number) => abuse.onIdleFrame(nowMs)],
] as const;

for (const [what, countMax, count] of FLOODS) {
  test(`more than ${countMax} ${what} in ten seconds are abuse`, () => {
    const abuse = new AbuseCount();
    for (let turn = 0; turn < countMax; turn += 1) assert.equal(count(abuse, turn), false);
    assert.equal(count(abuse, 9_999), true);
    // The next ten seconds are counted anew.
    assert.equal(count(abuse, 10_000), false);
  });
}
