import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Headers } from "../../http/headers.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { RequestSender } from "./request-sender.ts";
import type { UpstreamAttempt } from "./upstream-attempt.ts";

const HEAD = { method: "POST", target: "/", headers: new Headers(), hasBody: true };
const CHUNK = Buffer.from("chunk");

/** An upstream whose buffer is full, or takes more. */
function upstream(takesMore: boolean): Upstream {
  return { sendHead: () => takesMore, sendBody: () => takesMore } as unknown as Upstream;
}

function sender(): RequestSender {
  const made = new RequestSender(true);
  made.begin(HEAD, { keep: () => undefined } as unknown as UpstreamAttempt);
  return made;
}

interface Case {
  readonly name: string;
  /** The last step answers whether more of the body may be read. */
  readonly run: (made: RequestSender) => boolean;
  readonly mayRead: boolean;
}

const CASES: readonly Case[] = [
  {
    name: "is read when filters let go of it and there is room",
    run: (made) => (made.sendTo(upstream(true)), made.hold(true), made.hold(false)),
    mayRead: true,
  },
  {
    name: "is not read when filters let go of it before there is an upstream",
    run: (made) => (made.body(null, CHUNK), made.hold(true), made.hold(false)),
    mayRead: false,
  },
  {
    name: "is not read when filters let go of it and the upstream's buffer is full",
    run: (made) => (made.body(upstream(false), CHUNK), made.hold(true), made.hold(false)),
    mayRead: false,
  },
  {
    name: "is not read when an upstream is found and filters hold much of it",
    run: (made) => (made.hold(true), made.sendTo(upstream(true))),
    mayRead: false,
  },
  {
    name: "is not read when the upstream drains and filters hold much of it",
    run: (made) => (made.body(upstream(false), CHUNK), made.hold(true), made.drained()),
    mayRead: false,
  },
  {
    name: "is read when filters let go of it after the upstream has drained",
    run: (made) => (
      made.body(upstream(false), CHUNK),
      made.hold(true),
      made.drained(),
      made.hold(false)
    ),
    mayRead: true,
  },
];

describe("the rest of a request's body", () => {
  for (const { name, run, mayRead } of CASES) {
    test(name, () => {
      assert.equal(run(sender()), mayRead);
    });
  }
});
