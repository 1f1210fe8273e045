import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "./headers.ts";
import {
  CHUNK_END,
  chunkHeader,
  LAST_CHUNK,
  reasonPhrase,
  serializeRequestHead,
  serializeResponseHead,
  serializeTrailers,
} from "./serialize.ts";

const headers = new Headers();
headers.add("host", "a.test");
headers.add("x-empty", "");

test("a request head has its line, its fields in order and an empty line", () => {
  const text = serializeRequestHead("GET", "/a?b", headers);
  assert.equal(text, "GET /a?b HTTP/1.1\r\nhost: a.test\r\nx-empty: \r\n\r\n");
});

test("a response head keeps the space before an empty reason", () => {
  const text = serializeResponseHead(299, reasonPhrase(299), new Headers());
  assert.equal(text, "HTTP/1.1 299 \r\n\r\n");
  assert.equal(reasonPhrase(404), "Not Found");
});

test("chunks are framed in hexadecimal and end with the trailers", () => {
  assert.equal(chunkHeader(255) + CHUNK_END + LAST_CHUNK, "ff\r\n\r\n0\r\n\r\n");
  assert.equal(serializeTrailers(new Headers()), LAST_CHUNK);
  assert.equal(serializeTrailers(headers), "0\r\nhost: a.test\r\nx-empty: \r\n\r\n");
});
