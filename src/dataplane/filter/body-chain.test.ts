import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../../http/headers.ts";
import { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BodyAction } from "../../wasm/enums.ts";
import { BodyChain, BODY_HELD_BYTES_MAX } from "./body-chain.ts";
import type { BodySink, BodyStage } from "./body-chain.ts";
import { WholeBodyStage } from "./whole-body-stage.ts";

/** Records what passes, and what its stages have seen. */
class Sink implements BodySink {
  isOver = false;
  bytesHeldMax: number = BODY_HELD_BYTES_MAX;
  readonly events: string[] = [];

  onHeadReleased(index: number): void {
    this.events.push(`head ${index}`);
  }

  onPassed(body: BodyBuffer, endOfStream: boolean): void {
    this.events.push(`passed ${body.bytes.toString()}${endOfStream ? " end" : ""}`);
  }

  onTrailersPassed(trailers: Headers): void {
    this.events.push(`trailers ${trailers.names.join(",")}`);
  }

  onTooLarge(): void {
    this.isOver = true;
    this.events.push("too large");
  }

  onHeldMuch(isMuch: boolean): void {
    this.events.push(isMuch ? "slow" : "go on");
  }
}

/** Answers as it is told, one answer after the other; the last one again and again. */
class Stage implements BodyStage {
  readonly seen: string[] = [];
  readonly #answers: BodyAction[];
  trailersAnswer: BodyAction = BodyAction.continue;

  constructor(...answers: BodyAction[]) {
    this.#answers = answers;
  }

  onBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    this.seen.push(`${body.bytes.toString()}${endOfStream ? " end" : ""}`);
    const [next = BodyAction.continue] = this.#answers;
    if (this.#answers.length > 1) this.#answers.shift();
    return next;
  }

  onTrailers(): BodyAction {
    this.seen.push("trailers");
    return this.trailersAnswer;
  }
}

interface Made {
  readonly chain: BodyChain;
  readonly sink: Sink;
}

function chainOf(...stages: BodyStage[]): Made {
  const sink = new Sink();
  const chain = new BodyChain(sink);
  for (const stage of stages) chain.add(stage, "passed");
  return { chain, sink };
}

function sendAll(chain: BodyChain, ...texts: string[]): void {
  for (const text of texts) chain.onData(Buffer.from(text));
  chain.onEnd(null);
}

const { continue: pass, buffer, watermark, drop } = BodyAction;

const CASES: readonly {
  readonly claim: string;
  readonly answers: readonly BodyAction[];
  readonly seen: readonly string[];
  readonly events: readonly string[];
}[] = [
  {
    claim: "a stage that continues sees each chunk, then the end",
    answers: [pass],
    seen: ["a", "b", " end"],
    events: ["passed a", "passed b", "passed  end"],
  },
  {
    claim: "a stage that buffers sees all that is held, and lets it go as one",
    answers: [buffer, buffer, pass],
    seen: ["a", "ab", "ab end"],
    events: ["passed ab end"],
  },
  {
    claim: "a stage at its watermark sees what is new, and lets go of everything",
    answers: [watermark, watermark, pass],
    seen: ["a", "b", " end"],
    events: ["passed ab end"],
  },
  {
    claim: "what a stage drops is gone",
    answers: [drop, pass],
    seen: ["a", "b", " end"],
    events: ["passed b", "passed  end"],
  },
];

for (const { claim, answers, seen, events } of CASES) {
  test(claim, () => {
    const stage = new Stage(...answers);
    const { chain, sink } = chainOf(stage);
    sendAll(chain, "a", "b");
    assert.deepEqual(stage.seen, seen);
    assert.deepEqual(sink.events, events);
  });
}

test("what a stage held goes to the next one when it is continued, not to itself again", () => {
  const first = new Stage(buffer);
  const second = new Stage(pass);
  const { chain, sink } = chainOf(first, second);
  sendAll(chain, "a", "b");
  chain.continue(0);
  assert.deepEqual(first.seen, ["a", "ab", "ab end"]);
  assert.deepEqual(second.seen, ["ab end"]);
  assert.deepEqual(sink.events, ["passed ab end"]);
});

test("a stage whose headers stop everything sees the body after it was continued", () => {
  const sink = new Sink();
  const chain = new BodyChain(sink);
  const stage = new Stage(pass);
  chain.add(stage, "stopAll");
  sendAll(chain, "a", "b");
  assert.deepEqual(stage.seen, []);
  chain.continue(0);
  assert.deepEqual(stage.seen, ["ab end"]);
  assert.deepEqual(sink.events, ["head 0", "passed ab end"]);
});

test("trailers follow the body that is held before them", () => {
  const stage = new Stage(buffer);
  const { chain, sink } = chainOf(stage);
  chain.onData(Buffer.from("a"));
  const trailers = new Headers();
  trailers.add("x-end", "1");
  chain.onEnd(trailers);
  assert.deepEqual(stage.seen, ["a", "trailers"]);
  assert.deepEqual(sink.events, ["passed a", "trailers x-end"]);
});

test("a body that a stage wants whole is refused when it is too large", () => {
  const { chain, sink } = chainOf(new Stage(buffer));
  chain.onData(Buffer.alloc(BODY_HELD_BYTES_MAX));
  assert.deepEqual(sink.events, []);
  chain.onData(Buffer.from("x"));
  chain.onData(Buffer.from("y"));
  assert.deepEqual(sink.events, ["too large"]);
});

test("a sender is slowed while a stage that wants no whole body holds much", () => {
  const { chain, sink } = chainOf(new Stage(watermark));
  chain.onData(Buffer.alloc(BODY_HELD_BYTES_MAX + 1));
  assert.deepEqual(sink.events, ["slow"]);
  chain.continue(0);
  assert.equal(sink.events.at(-1), "go on");
});

test("a request waits until its body is there, so that rules can read it", () => {
  const stage = new WholeBodyStage(4);
  const { chain, sink } = chainOf(stage);
  chain.onData(Buffer.from("ab"));
  chain.onData(Buffer.from("cd"));
  assert.deepEqual(sink.events, []);
  chain.onEnd(null);
  assert.equal(stage.bytes?.toString(), "abcd");
  assert.deepEqual(sink.events, ["passed abcd end"]);
});

test("a body that is longer than may be held goes on at once, whole and unread", () => {
  const sink = new Sink();
  const chain = new BodyChain(sink);
  const stage = new WholeBodyStage(3);
  chain.add(stage, "stop");
  chain.onData(Buffer.from("ab"));
  chain.onData(Buffer.from("cd"));
  assert.equal(stage.bytes, null);
  assert.deepEqual(sink.events, ["head 0", "passed abcd"]);
  chain.onEnd(null);
  assert.deepEqual(sink.events.slice(-1), ["passed  end"]);
});

test("what a stage puts in passes the stages after it, before what it holds", () => {
  const first = new Stage(watermark);
  const second = new Stage(pass);
  const { chain, sink } = chainOf(first, second);
  chain.onData(Buffer.from("held"));
  chain.inject(0, new BodyBuffer(Buffer.from("new")), false);
  chain.continue(0);
  assert.deepEqual(first.seen, ["held"]);
  assert.deepEqual(second.seen, ["new", "held"]);
  assert.deepEqual(sink.events, ["passed new", "passed held"]);
});

test("what a stage puts in takes the head along that it holds", () => {
  const { chain, sink } = chainOf();
  chain.add(new Stage(drop), "stop");
  chain.onData(Buffer.from("dropped"));
  chain.inject(0, new BodyBuffer(Buffer.from("new")), false);
  assert.deepEqual(sink.events, ["head 0", "passed new"]);
});

test("a stage that ends the message with what it puts in is shown nothing more", () => {
  const stage = new Stage(drop);
  const { chain, sink } = chainOf(stage);
  chain.onData(Buffer.from("a"));
  chain.inject(0, new BodyBuffer(Buffer.from("last")), true);
  sendAll(chain, "b");
  chain.continue(0);
  chain.inject(0, new BodyBuffer(Buffer.from("too late")), true);
  assert.deepEqual(stage.seen, ["a"]);
  assert.deepEqual(sink.events, ["passed last end"]);
});

test("a stage may hold as much as its sink says", () => {
  const { chain, sink } = chainOf(new Stage(buffer));
  sink.bytesHeldMax = 4;
  chain.onData(Buffer.from("1234"));
  assert.deepEqual(sink.events, []);
  chain.onData(Buffer.from("5"));
  assert.deepEqual(sink.events, ["too large"]);
});
