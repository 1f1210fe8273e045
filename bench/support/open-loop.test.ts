import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { OpenLoopClient, parseAnswer } from "./open-loop.ts";
import type { OpenLoopResult } from "./open-loop.ts";

async function run(
  listener: RequestListener,
  { timeoutMs = 5_000, warmUpMs = 0 } = {},
): Promise<OpenLoopResult> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port,
    ratePerSecond: 500,
    connectionsMax: 8,
    timeoutMs,
    warmUpMs,
    request: (index) => ({
      bytes: `GET /${index} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
      check: ({ status, body }) =>
        status === 200 && body.toString() === `/${index}` ? null : `${status} ${body.toString()}`,
    }),
  });
  client.start();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const result = await client.stop();
  server.close();
  server.closeAllConnections();
  return result;
}

test("every request that fell due is sent, received and right", async () => {
  const result = await run((request, response) => response.end(request.url));
  assert.ok(result.sent >= 40, `${result.sent} sent`);
  assert.equal(result.received, result.sent);
  assert.equal(result.right, result.sent, result.failures.join());
  assert.equal(result.latencyUs.count, result.sent);
});

test("requests of the warm-up are checked, and are not in the latencies", async () => {
  const all = await run((request, response) => response.end(request.url), { warmUpMs: 60_000 });
  assert.equal(all.right, all.sent, all.failures.join());
  assert.equal(all.latencyUs.count, 0);
  const later = await run((request, response) => response.end(request.url), { warmUpMs: 20 });
  // The requests numbered 0 to 9 fall due before.
  assert.equal(later.latencyUs.count, later.sent - 10);
});

test("chunked answers are read, and connections that the server closes are replaced", async () => {
  const result = await run((request, response) => {
    if (request.url?.endsWith("3") === true) response.setHeader("connection", "close");
    response.write(request.url?.slice(0, 1));
    response.end(request.url?.slice(1));
  });
  assert.equal(result.right, result.sent, result.failures.join());
});

test("a wrong answer, a lost connection and silence are failures, and are not retried", async () => {
  const seen = new Map<string, number>();
  const result = await run(
    (request, response) => {
      const url = request.url ?? "";
      seen.set(url, (seen.get(url) ?? 0) + 1);
      if (url === "/1") response.end("wrong");
      else if (url === "/2") request.socket.destroy();
      else if (url !== "/3") response.end(url);
    },
    { timeoutMs: 200 },
  );
  assert.equal(result.failed, 3);
  assert.equal(result.right, result.sent - 3);
  assert.match(result.failures.join("; "), /request 1: 200 wrong/);
  assert.match(result.failures.join("; "), /request 3: no answer in 200 ms/);
  assert.ok([...seen.values()].every((times) => times === 1));
});

test("an answer is complete at its last byte and not before", () => {
  const answers = [
    "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
  ];
  for (const text of answers) {
    const bytes = Buffer.from(text);
    for (let end = 0; end < bytes.length; end++) {
      assert.equal(parseAnswer(bytes.subarray(0, end)), "incomplete");
    }
    const parsed = parseAnswer(bytes);
    assert.ok(typeof parsed === "object");
    assert.equal(parsed.bytes, bytes.length);
  }
});
