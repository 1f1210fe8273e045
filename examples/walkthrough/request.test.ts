import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { answerText, ask, hangUp, isAsExpected, questionText } from "./request.ts";

const cases = [
  {
    claim: "an address is compared as a pattern",
    answer: { status: 200, body: "-> mocka(version: v1, ip: 127.10.0.5)\n" },
    expected: { status: 200, body: "-> mocka(version: v1, ip: IP)" },
    holds: true,
  },
  {
    claim: "another version is not as expected",
    answer: { status: 200, body: "-> mocka(version: v2, ip: 127.10.0.5)" },
    expected: { status: 200, body: "-> mocka(version: v1, ip: IP)" },
    holds: false,
  },
  {
    claim: "another status is not as expected",
    answer: { status: 503, body: "A[10.0.0.1]" },
    expected: { status: 200, body: "A[IP]" },
    holds: false,
  },
  {
    claim: "three dots stand for any text, line ends included",
    answer: { status: 404, body: "no route:\nistio-system/swimlane-ingress-vs/http[0]\nr2" },
    expected: { status: 404, body: "...swimlane-ingress-vs/http[0]..." },
    holds: true,
  },
];

for (const { claim, answer, expected, holds } of cases) {
  test(claim, () => {
    assert.equal(isAsExpected(answer, expected), holds);
  });
}

test("a request and its answer are printed on one line each", () => {
  const headers = { "x-user-id": "jack" };
  assert.equal(questionText({ path: "/", headers }), "GET / -H 'x-user-id: jack'");
  assert.equal(answerText({ status: 404, body: "no\n route\n" }), "404 no | route");
});

test("an answer is read whole, and a refused connection is an answer with status 0", async () => {
  const server = createServer((request, response) => {
    response.end(`user ${String(request.headers["x-user-id"])}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const question = { path: "/", headers: { "x-user-id": "bob" } };
  assert.deepEqual(await ask(origin, question), { status: 200, body: "user bob" });
  hangUp();
  await new Promise((resolve) => server.close(resolve));
  assert.equal((await ask(origin, question)).status, 0);
});
