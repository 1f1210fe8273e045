import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAge, formatDuration } from "./age.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const durations = [
  { ms: 0, text: "0s" },
  { ms: -5, text: "0s" },
  { ms: 119 * SECOND, text: "119s" },
  { ms: 2 * MINUTE, text: "2m" },
  { ms: 3 * MINUTE + 20 * SECOND, text: "3m20s" },
  { ms: 179 * MINUTE, text: "179m" },
  { ms: 3 * HOUR + 5 * MINUTE, text: "3h5m" },
  { ms: 47 * HOUR, text: "47h" },
  { ms: 2 * DAY + 3 * HOUR, text: "2d3h" },
  { ms: 8 * DAY, text: "8d" },
  { ms: 730 * DAY, text: "2y" },
];

for (const { ms, text } of durations) {
  test(`${ms} ms are shown as ${text}`, () => {
    assert.equal(formatDuration(ms), text);
  });
}

test("an age counts from an RFC 3339 time, also across a leap day", () => {
  const now = new Date("2028-03-01T00:00:00Z").getTime();
  assert.equal(formatAge("2028-02-28T00:00:00Z", now), "2d");
  assert.equal(formatAge("1970-01-01T00:00:00Z", 5_000), "5s");
});

test("a missing or wrong time is unknown", () => {
  assert.equal(formatAge(undefined, 0), "<unknown>");
  assert.equal(formatAge("yesterday", 0), "<unknown>");
});
