import assert from "node:assert/strict";
import { test } from "node:test";
import { NotRedis, REPLY_BYTES_MAX, ReplyReader } from "./reply-reader.ts";

const REPLIES = [
  "+OK\r\n",
  "-ERR no\r\n",
  ":-42\r\n",
  "$-1\r\n",
  "$0\r\n\r\n",
  "$6\r\na\r\nb\r\n\r\n",
  "*-1\r\n",
  "*0\r\n",
  "*3\r\n:1\r\n$1\r\na\r\n*2\r\n+x\r\n$-1\r\n",
  "*1\r\n*1\r\n*0\r\n",
];

function readAll(chunks: Iterable<Buffer>): (string | null)[] {
  const replies: (string | null)[] = [];
  const reader = new ReplyReader((reply) => {
    replies.push(reply?.toString("latin1") ?? null);
  });
  for (const chunk of chunks) reader.push(chunk);
  return replies;
}

test("replies that come together are told apart", () => {
  assert.deepEqual(readAll([Buffer.from(REPLIES.join(""))]), REPLIES);
});

test("replies that come in pieces of any size are put together", () => {
  const all = Buffer.from(REPLIES.join(""));
  for (let size = 1; size < all.length; size++) {
    const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
      all.subarray(index * size, (index + 1) * size),
    );
    assert.deepEqual(readAll(chunks), REPLIES, `in pieces of ${size}`);
  }
});

test("a buffer that is used again does not change what was kept of it", () => {
  const reused = Buffer.from("$4\r\nab");
  const replies: string[] = [];
  const reader = new ReplyReader((reply) => {
    replies.push(String(reply));
  });
  reader.push(reused);
  reused.fill("x");
  reader.push(Buffer.from("cd\r\n"));
  assert.deepEqual(replies, ["$4\r\nabcd\r\n"]);
});

test("a reply that is too large is skipped, and the next one is read", () => {
  const large = Buffer.alloc(REPLY_BYTES_MAX, "x");
  const head = `$${large.length}\r\n`;
  const whole = Buffer.concat([Buffer.from(head), large, Buffer.from("\r\n+OK\r\n")]);
  assert.deepEqual(readAll([whole]), [null, "+OK\r\n"]);
  const pieces = [];
  for (let at = 0; at < whole.length; at += 65_536) pieces.push(whole.subarray(at, at + 65_536));
  assert.deepEqual(readAll(pieces), [null, "+OK\r\n"]);
});

test("a reply of many small values is too large, too", () => {
  const count = REPLY_BYTES_MAX / 4;
  const whole = Buffer.from(`*${count}\r\n${":1\r\n".repeat(count)}+OK\r\n`);
  assert.deepEqual(readAll([whole.subarray(0, 500_000), whole.subarray(500_000)]), [
    null,
    "+OK\r\n",
  ]);
});

const STRANGERS = [
  "HTTP/1.1 400 Bad Request\r\n",
  "$12x\r\n",
  "$-2\r\n",
  "$99999999999\r\n",
  "*4294967296\r\n",
  "%1\r\n",
  ":1\n",
  "\r\n",
];
for (const text of STRANGERS) {
  test(`${JSON.stringify(text)} is no reply of Redis`, () => {
    assert.throws(() => readAll([Buffer.from(text)]), NotRedis);
  });
}

test("a line without an end is no reply of Redis", () => {
  assert.throws(() => readAll([Buffer.alloc(70_000, "+")]), NotRedis);
});
