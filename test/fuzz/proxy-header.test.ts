import assert from "node:assert/strict";
import { test } from "node:test";
import { PROXY_CASES } from "./proxy-cases.ts";
import { parseProxyHeader } from "../../src/dataplane/listener/proxy-header.ts";
import type { ProxyHeaderResult } from "../../src/dataplane/listener/proxy-header.ts";

const BEHIND = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

function verdictOf(result: ProxyHeaderResult): string {
  if (result.kind === "header") return result.ends?.remoteAddress ?? "own";
  return result.kind === "more" ? "more" : "closed";
}

for (const { name, header, want } of PROXY_CASES) {
  test(`${name}: ${want}, however it is cut`, () => {
    const whole = Buffer.concat([header, BEHIND]);
    const result = parseProxyHeader(whole);
    assert.equal(verdictOf(result), want);
    if (result.kind === "header") assert.equal(result.length, header.length);
    const step = Math.max(1, Math.floor(whole.length / 300));
    let bytesMin = 1;
    for (let length = 1; length < whole.length; length += step) {
      const part = parseProxyHeader(whole.subarray(0, length));
      const verdict = verdictOf(part);
      if (verdict !== "more") {
        assert.equal(verdict, want);
        // What it said it needs was no more than what it did need.
        if (part.kind === "header") assert.ok(bytesMin <= part.length);
        return;
      }
      if (part.kind === "more") ({ bytesMin } = part);
    }
  });
}

test("both ends are told, with their ports", () => {
  const [first] = PROXY_CASES;
  assert.ok(first !== undefined);
  const result = parseProxyHeader(first.header);
  assert.deepEqual(result.kind === "header" && result.ends, {
    ...{ remoteAddress: "192.0.2.1", remotePort: 56_324 },
    ...{ localAddress: "198.51.100.7", localPort: 443 },
  });
});
