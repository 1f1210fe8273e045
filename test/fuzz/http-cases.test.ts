//! Every raw case: the verdict, and that no way of cutting the bytes changes what was read.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpFaultCode } from "../../src/http/fault.ts";
import { REQUEST_FAULTS } from "../../src/http/fault.ts";
import { checkOutcome } from "./http-case-check.ts";
import { HTTP2_CASES } from "./http2-cases.ts";
import { REQUEST_CASES } from "./http-cases.ts";
import { readHttp2, readRequests, readResponse, split } from "./http-reading.ts";
import { RESPONSE_CASES } from "./http-response-cases.ts";

/** Longer cases are cut at every byte only near both ends. */
const EVERY_BYTE_MAX = 2_000;

function cutsOf(bytes: Buffer): number[][] {
  const offsets = Array.from({ length: bytes.length }, (_unused, index) => index).slice(1);
  if (bytes.length <= EVERY_BYTE_MAX) return [...offsets.map((offset) => [offset]), offsets];
  const near = offsets.filter((offset) => offset < 100 || offset > bytes.length - 100);
  return [...near.filter((offset) => offset % 9 === 0).map((offset) => [offset]), offsets];
}

const suites = [
  { side: "request", cases: REQUEST_CASES, read: readRequests },
  { side: "response", cases: RESPONSE_CASES, read: readResponse },
] as const;

for (const { side, cases, read } of suites) {
  for (const one of cases) {
    const verdict = typeof one.want === "string" ? `is refused: ${one.want}` : "is read";
    test(`${side} [${one.clause}] ${one.name} ${verdict}`, () => {
      const bytes = Buffer.from(one.raw, "latin1");
      const whole = read([bytes], one.method);
      checkOutcome(whole, one.want);
      for (const cuts of cutsOf(bytes)) {
        assert.deepEqual(read(split(bytes, cuts), one.method), whole, `cut at ${cuts.join()}`);
      }
    });
  }
}

for (const { name, clause, fields, of = "request", want } of HTTP2_CASES) {
  const verdict = want === "" ? "is read" : `is refused: ${want}`;
  test(`HTTP/2 ${of} [${clause}] ${name} ${verdict}`, () => {
    assert.equal(readHttp2(fields, of), want);
  });
}

test("every fault of the codec has a case", () => {
  const wants: unknown[] = [...REQUEST_CASES, ...RESPONSE_CASES, ...HTTP2_CASES].map(
    (one) => one.want,
  );
  const without = (Object.keys(REQUEST_FAULTS) as HttpFaultCode[]).filter(
    (code) => !wants.includes(code),
  );
  assert.deepEqual(without, []);
});
