import assert from "node:assert/strict";
import { test } from "node:test";
import { AbuseCount, CONNECTION_WINDOW_BYTES } from "./http2-abuse.ts";

const SECOND_MS = 1_000;
const MANY = 2_000;
const CHUNK_BYTES = 16_384;
const FRAME_BYTES = 9;
const WINDOW_UPDATES_BYTES = 26;

interface Turn {
  readonly read: number;
  readonly sent: number;
  readonly count: (abuse: AbuseCount) => void;
}

/** What a second of it does, a thousand times over: innocent clients. */
const INNOCENT: Readonly<Record<string, Turn>> = {
  "an upload": {
    read: MANY * (CHUNK_BYTES + FRAME_BYTES),
    sent: 0,
    count: (abuse) => {
      for (let chunk = 0; chunk < MANY; chunk += 1) abuse.onBody(CHUNK_BYTES);
    },
  },
  "a stream of bodies of one byte": {
    read: MANY * (1 + FRAME_BYTES),
    sent: 0,
    count: (abuse) => {
      for (let chunk = 0; chunk < MANY; chunk += 1) abuse.onBody(1);
    },
  },
  "a download whose windows are opened after each byte": {
    read: MANY * WINDOW_UPDATES_BYTES,
    sent: MANY * (1 + FRAME_BYTES),
    count: () => undefined,
  },
  "heads in full": {
    read: MANY * (4_000 + FRAME_BYTES),
    sent: 0,
    count: (abuse) => {
      for (let head = 0; head < MANY; head += 1) abuse.onFields(["cookie", "x".repeat(3_994)]);
    },
  },
  "bodies that an early answer leaves unread": {
    read: 20 * 200_000,
    sent: 0,
    count: (abuse) => {
      for (let body = 0; body < 20; body += 1) abuse.onUnreadBody();
    },
  },
};

function run({ read, sent, count }: Turn): boolean {
  const socket = { bytesRead: 0, bytesWritten: 0 };
  // A body on its way to its reader.
  socket.bytesRead += CONNECTION_WINDOW_BYTES;
  const abuse = new AbuseCount(socket, 0);
  for (let second = 1; second <= 25; second += 1) {
    socket.bytesRead += read;
    socket.bytesWritten += sent;
    count(abuse);
    if (abuse.inspect(second * SECOND_MS)) return true;
  }
  return false;
}

for (const [name, turn] of Object.entries(INNOCENT)) {
  test(`${name} is no abuse`, () => {
    assert.equal(run(turn), false);
  });
}

test("bytes that are for nothing are, and a few are not", () => {
  const flood = { read: CONNECTION_WINDOW_BYTES / 4, sent: 0, count: () => undefined };
  assert.equal(run(flood), true);
  assert.equal(run({ ...flood, read: CONNECTION_WINDOW_BYTES / 16 }), false);
});

const FLOODS = [
  ["resets", 500, (abuse: AbuseCount, nowMs: number) => abuse.onReset(nowMs)],
  ["PING and SETTINGS frames", 1_000, (abuse: AbuseCount, nowMs: number) => abuse.onControl(nowMs)],
] as const;

for (const [what, countMax, count] of FLOODS) {
  test(`more than ${countMax} ${what} in ten seconds are abuse`, () => {
    const abuse = new AbuseCount({ bytesRead: 0, bytesWritten: 0 }, 0);
    for (let turn = 0; turn < countMax; turn += 1) assert.equal(count(abuse, turn), false);
    assert.equal(count(abuse, 9_999), true);
    // The next ten seconds are counted anew.
    assert.equal(count(abuse, 10_000), false);
  });
}
