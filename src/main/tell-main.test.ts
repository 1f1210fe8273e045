import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

/** Two listeners are told of; the second is closed while the first is on its way. */
const WORKER = `
  import { createServer } from "node:net";
  import { tellMain } from ${JSON.stringify(new URL("tell-main.js", import.meta.url).href)};
  const servers = [createServer(), createServer()];
  for (const server of servers) {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  }
  const [first, second] = servers.map((server) => server._handle);
  tellMain({ type: "listener", id: 1 }, first);
  tellMain({ type: "listener", id: 2 }, second, () => {
    tellMain({ type: "listener", id: 3 });
  });
  servers[1].close();
  process.on("message", () => process.exit(0));
`;

test("a listener that is closed before it could be told of ends no worker", async () => {
  const words = ["--input-type=module", "--eval", WORKER];
  const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
  const worker = spawn(process.execPath, words, { stdio: [...stdio] });
  const ids: number[] = [];
  worker.on("message", (message: { readonly id: number }) => {
    ids.push(message.id);
    if (message.id === 3) worker.send("end");
  });
  const [code] = (await once(worker, "exit")) as [number | null];
  assert.deepEqual(ids, [1, 3], "the second one's failure is told");
  assert.equal(code, 0);
});
