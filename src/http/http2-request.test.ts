import assert from "node:assert/strict";
import { test } from "node:test";
import { readHttp2Request } from "./http2-request.ts";

const GET = [":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/"];

test("a right request keeps its fields, with Host first and one Cookie", () => {
  const head = readHttp2Request([...GET, "cookie", "a=1", "te", "trailers", "cookie", "b"], false);
  assert.ok(!("code" in head));
  assert.deepEqual(head.headers.names, ["host", "cookie", "te"]);
  assert.deepEqual(head.headers.values, ["a.test", "a=1; b", "trailers"]);
  assert.equal(head.body, "chunked");
});
