import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../base/virtual-clock.ts";
import { EvenShare } from "./even-share.ts";
import type { SharedPort } from "./shared-port.ts";

class FakePort {
  readonly handle = {};
  hasSpare = false;
  isPaused = false;
  isClosed = false;

  takeSpare(): void {
    this.hasSpare = true;
  }

  pause(): boolean {
    if (!this.hasSpare || this.isPaused) return false;
    this.isPaused = true;
    return true;
  }

  resume(): void {
    if (this.isPaused) this.hasSpare = false;
    this.isPaused = false;
  }

  close(): void {
    this.isClosed = true;
  }
}

function setUp() {
  const clock = new VirtualClock();
  const told: number[] = [];
  const asked: number[] = [];
  const share = new EvenShare(clock, {
    tell: (count) => told.push(count),
    askHandle: (port) => asked.push(port),
  });
  const port = new FakePort();
  const remove = share.add(port as unknown as SharedPort);
  const answer = (): void => {
    for (const id of asked.splice(0)) share.onHandle(id, {});
  };
  const accept = (count: number, gapMs = 0): void => {
    for (let one = 0; one < count; one++) {
      clock.advance(gapMs);
      share.onAccept();
    }
  };
  return { clock, told, asked, share, port, remove, answer, accept };
}

test("a worker alone never pauses, and asks for nothing", () => {
  const { port, asked, accept } = setUp();
  accept(1_000);
  assert.deepEqual([port.isPaused, asked], [false, []]);
});

test("a worker that is ahead pauses until another has caught up half of it", () => {
  const { port, share, answer, accept } = setUp();
  share.onPeers([0]);
  answer();
  accept(8);
  assert.equal(port.isPaused, false);
  accept(1);
  assert.equal(port.isPaused, true);
  share.onPeers([4]);
  assert.equal(port.isPaused, true);
  share.onPeers([5]);
  assert.equal(port.isPaused, false);
});

test("with many connections a worker may be ahead by 2 %", () => {
  const { port, share, answer, accept } = setUp();
  share.onPeers([980]);
  answer();
  accept(1_000);
  assert.equal(port.isPaused, false);
  accept(1);
  assert.equal(port.isPaused, true);
});

test("a worker without a handle to go on with goes on, and asks for one", () => {
  const { port, asked, share, answer, accept } = setUp();
  share.onPeers([0]);
  accept(20);
  assert.deepEqual([port.isPaused, asked], [false, [1]]);
  answer();
  accept(1);
  assert.equal(port.isPaused, true);
  share.onPeers([20]);
  assert.deepEqual(asked, [1], "the next one is asked for after the pause");
});

const pauses = [
  { name: "at least 20 ms", gapMs: 0, endsMs: 20 },
  { name: "as eight connections took at the last one's pace", gapMs: 10, endsMs: 80 },
  { name: "at most 250 ms", gapMs: 1_000, endsMs: 250 },
];

for (const { name, gapMs, endsMs } of pauses) {
  test(`a pause in which nobody else accepts lasts ${name}`, () => {
    const { port, clock, share, answer, accept } = setUp();
    share.onPeers([0]);
    answer();
    accept(9, gapMs);
    assert.equal(port.isPaused, true);
    clock.advance(endsMs - 1);
    assert.equal(port.isPaused, true);
    clock.advance(1);
    assert.equal(port.isPaused, false);
  });
}

test("after each pause in vain more are accepted before the next, until others accept", () => {
  const { port, clock, share, answer, accept } = setUp();
  share.onPeers([0]);
  answer();
  accept(9);
  for (const count of [1, 2, 4, 8]) {
    clock.advance(20);
    answer();
    accept(count);
    assert.equal(port.isPaused, false, `${count} after a pause in vain`);
    accept(1);
    assert.equal(port.isPaused, true);
  }
  share.onPeers([1]);
  clock.advance(20);
  answer();
  accept(1);
  assert.equal(port.isPaused, true, "the pause was not in vain");
});

test("when the others have gone a pause ends at once", () => {
  const { port, share, answer, accept } = setUp();
  share.onPeers([0]);
  answer();
  accept(9);
  share.onPeers([]);
  assert.equal(port.isPaused, false);
});

test("the others are told what changed, every 5 ms at most", () => {
  const { told, clock, share, accept } = setUp();
  clock.advance(5);
  accept(3);
  clock.advance(4);
  assert.deepEqual(told, [0]);
  accept(1);
  clock.advance(1);
  share.onClose();
  share.onAccept();
  clock.advance(5);
  assert.deepEqual(told, [0, 4]);
});

test("a port that is taken out is closed, and a handle that comes too late too", () => {
  const { port, share, remove } = setUp();
  share.onPeers([0]);
  remove();
  assert.equal(port.isClosed, true);
  let isClosed = false;
  share.onHandle(1, {
    close: () => {
      isClosed = true;
    },
  });
  assert.equal(isClosed, true);
});
