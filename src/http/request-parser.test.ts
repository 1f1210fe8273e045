//! The life of a parser on one connection. What it accepts and refuses: test/fuzz/http-cases.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestParser, type RequestSink } from "./request-parser.ts";
import { ResponseParser } from "./response-parser.ts";

function record(events: string[]): RequestSink {
  return {
    onRequestHead: (head) => void events.push(`${head.method} ${head.target}`),
    onRequestBody: (chunk) => void events.push(chunk.toString()),
    onRequestEnd: () => void events.push("end"),
  };
}

const GET = Buffer.from("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");

test("pipelined bytes stay with the caller until next is called", () => {
  const events: string[] = [];
  const parser = new RequestParser(record(events));
  const both = Buffer.concat([GET, GET]);
  assert.equal(parser.execute(both), GET.length);
  assert.equal(parser.execute(both.subarray(GET.length)), 0);
  parser.next();
  assert.equal(parser.execute(both.subarray(GET.length)), GET.length);
  assert.deepEqual(events, ["GET /a", "end", "GET /a", "end"]);
});

test("a parser is idle until the first byte of a head, and in the head until its end", () => {
  const parser = new RequestParser(record([]));
  const states: boolean[][] = [[parser.isIdle, parser.headStarted]];
  for (const part of ["\r\n", "GET / HTTP/1.1\r\n", "Host: a\r\n\r\n"]) {
    parser.execute(Buffer.from(part));
    states.push([parser.isIdle, parser.headStarted]);
  }
  parser.next();
  states.push([parser.isIdle, parser.headStarted]);
  const want = [
    [true, false],
    [true, false],
    [false, true],
    [false, false],
    [true, false],
  ];
  assert.deepEqual(states, want);
});

test("a body is passed on in parts of the input, without a copy", () => {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
  const input = Buffer.from(`${head}abcd`);
  let chunk: Buffer = Buffer.alloc(0);
  const parser = new RequestParser({ ...record([]), onRequestBody: (data) => (chunk = data) });
  parser.execute(input);
  assert.equal(chunk.buffer, input.buffer);
  assert.equal(chunk.toString(), "abcd");
});

test("a fault is final", () => {
  const parser = new RequestParser(record([]));
  const fault = parser.execute(Buffer.from("\x16"));
  assert.deepEqual(fault, {
    status: 400,
    code: "bad_method",
    message: "the method is not a token",
  });
  parser.next();
  assert.equal(parser.execute(GET), fault);
});

test("limits can be set for each parser", () => {
  const parser = new RequestParser(record([]), { headBytesMax: 20 });
  assert.equal((parser.execute(GET) as { code: string }).code, "head_too_large");
});

test("bytes after a response belong to the caller, and the next request is told by expect", () => {
  const events: string[] = [];
  const parser = new ResponseParser({
    onInformational: (head) => void events.push(`${head.status}`),
    onResponseHead: (head) => void events.push(`${head.status}`),
    onResponseBody: (chunk) => void events.push(chunk.toString()),
    onResponseEnd: () => void events.push("end"),
  });
  const one = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  assert.equal(parser.execute(one), 0);
  assert.equal(parser.finish(), null);
  parser.expect("GET");
  assert.equal(parser.isIdle, false);
  assert.equal(parser.execute(Buffer.concat([one, one])), one.length);
  assert.equal(parser.isIdle, true);
  parser.expect("HEAD");
  assert.equal(parser.execute(one), one.length - 1);
  assert.deepEqual(events, ["200", "a", "end", "200", "end"]);
});
