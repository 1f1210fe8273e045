import assert from "node:assert/strict";
import { test } from "node:test";
import { readHttp2Request } from "./http2-request.ts";

const GET = [":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/"];

function without(name: string): string[] {
  const index = GET.indexOf(name);
  return GET.filter((_text, at) => at !== index && at !== index + 1);
}

function codeOf(fields: readonly string[], endsHere = true): string {
  const head = readHttp2Request(fields, endsHere);
  return "code" in head ? head.code : "";
}

const refused: readonly (readonly [name: string, fields: readonly string[], code: string])[] = [
  ["no method", without(":method"), "bad_pseudo_field"],
  ["no scheme", without(":scheme"), "bad_pseudo_field"],
  ["no path", without(":path"), "bad_pseudo_field"],
  ["neither authority nor Host", without(":authority"), "missing_host"],
  ["a repeated pseudo-header field", [...GET, ":path", "/"], "bad_pseudo_field"],
  ["an unknown pseudo-header field", [...GET, ":protocol", "websocket"], "bad_pseudo_field"],
  ["a pseudo-header field after others", ["a", "b", ...GET], "bad_pseudo_field"],
  ["an upper-case name", [...GET, "X-A", "1"], "bad_field_name"],
  ["a name with a line end", [...GET, "a\r\nb", "1"], "bad_field_name"],
  ["a name with a colon", [...GET, "a:b", "1"], "bad_field_name"],
  ["a value with a line end", [...GET, "a", "1\r\nhost: b"], "bad_field_value"],
  ["a value with a blank at its end", [...GET, "a", "1 "], "bad_field_value"],
  ["Transfer-Encoding", [...GET, "transfer-encoding", "chunked"], "connection_field"],
  ["Connection", [...GET, "connection", "close"], "connection_field"],
  ["TE other than trailers", [...GET, "te", "gzip"], "connection_field"],
  ["a Host that says otherwise", [...GET, "host", "b.test"], "conflicting_host"],
  ["a length with no body", [...GET, "content-length", "5"], "wrong_content_length"],
  [
    "a repeated length",
    [...GET, "content-length", "0", "content-length", "0"],
    "repeated_content_length",
  ],
  ["a path with a blank", [...without(":path"), ":path", "/ HTTP/1.1"], "bad_target"],
  ["a path with a line end", [...without(":path"), ":path", "/\r\na: b"], "bad_target"],
  ["an empty path", [...without(":path"), ":path", ""], "bad_target"],
  ["a method with a blank", [...without(":method"), ":method", "GET /x"], "bad_method"],
  ["too many fields", [...GET, ...Array<string>(300).fill("a")], "too_many_fields"],
];

for (const [name, fields, code] of refused) {
  test(`a request with ${name} is refused`, () => {
    assert.equal(codeOf(fields), code);
  });
}

test("a right request keeps its fields, with Host first and one Cookie", () => {
  const head = readHttp2Request([...GET, "cookie", "a=1", "te", "trailers", "cookie", "b"], false);
  assert.ok(!("code" in head));
  assert.deepEqual(head.headers.names, ["host", "cookie", "te"]);
  assert.deepEqual(head.headers.values, ["a.test", "a=1; b", "trailers"]);
  assert.equal(head.body, "chunked");
});
