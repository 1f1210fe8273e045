//! Compares what was read of a raw case with what the case says.

import assert from "node:assert/strict";
import type { Headers } from "../../src/http/headers.ts";
import type { HttpCase, Reading } from "./http-case.ts";
import type { Outcome, ReadMessage } from "./http-reading.ts";

function check(message: ReadMessage | undefined, want: Reading): void {
  assert.ok(message, "a message is missing");
  assert.ok(message.hasEnded, "the message has ended");
  const head: Readonly<Record<string, unknown>> = { ...message.head, body: message.body };
  for (const [key, value] of Object.entries(want)) {
    if (key === "fields" || key === "trailers") {
      const headers: Headers | null = key === "fields" ? message.head.headers : message.trailers;
      for (const [name, text] of Object.entries(value as Record<string, string>)) {
        assert.equal(headers?.get(name), text, name);
      }
    } else {
      assert.equal(head[key], value, key);
    }
  }
}

export function checkOutcome(outcome: Outcome, want: HttpCase["want"]): void {
  if (typeof want === "string") {
    assert.equal(outcome.fault, want);
    return;
  }
  assert.equal(outcome.fault, null);
  assert.equal(outcome.messages.length, want.length);
  want.forEach((reading, index) => {
    check(outcome.messages[index], reading);
  });
}
