import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchApp } from "./app-process.ts";
import type { AppProcess } from "./app-process.ts";

/** Holds a connection to the test for as long as it lives, and does not mind SIGTERM. */
const STUBBORN = `
  process.on("SIGTERM", () => undefined);
  require("node:net").connect(Number(process.argv[1]), "127.0.0.1").on("error", () => undefined);
`;
/** An app with a child of its own, as `npm start` or a shell has. */
const PARENT = `"$0" -e "$1" "$2" & "$0" -e "$1" "$2"`;

function launch(argv: readonly string[], env: Readonly<Record<string, string>> = {}): AppProcess {
  return launchApp({
    argv,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    workingDir: tmpdir(),
  });
}

function launchStubborn(port: string): AppProcess {
  return launch(["/bin/sh", "-c", PARENT, process.execPath, STUBBORN, port]);
}

const AS_MAIN = "--as-main";
if (process.argv[2] === AS_MAIN) {
  launchStubborn(process.argv[3] ?? "");
} else {
  runTests();
}

/** Two connections: of the app and of its child. */
async function listenForTwo(): Promise<{ port: string; both: Promise<readonly Socket[]> }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const both = new Promise<readonly Socket[]>((resolve) => {
    const sockets: Socket[] = [];
    server.on("connection", (socket) => {
      socket.on("error", () => undefined);
      sockets.push(socket);
      if (sockets.length < 2) return;
      server.close();
      resolve(sockets);
    });
  });
  return { port: String((server.address() as AddressInfo).port), both };
}

const closed = (socket: Socket): Promise<unknown> =>
  socket.destroyed ? Promise.resolve() : once(socket, "close");

function runTests(): void {
  test("kill -9 of the main process ends its apps and their children", async () => {
    const { port, both } = await listenForTwo();
    const main = fork(fileURLToPath(import.meta.url), [AS_MAIN, port]);
    const sockets = await both;
    for (const socket of sockets) socket.resume();
    main.kill("SIGKILL");
    await Promise.all(sockets.map(closed));
  });

  test("SIGKILL reaches the whole group", async () => {
    const { port, both } = await listenForTwo();
    const app = launchStubborn(port);
    const sockets = await both;
    for (const socket of sockets) socket.resume();
    app.signal("SIGKILL");
    await Promise.all(sockets.map(closed));
    assert.deepEqual(await app.exited, { code: null, signal: "SIGKILL" });
  });

  test("what an app leaves running in its group ends with it", async () => {
    const { port, both } = await listenForTwo();
    const script = `"$0" -e "$1" "$2" & "$0" -e "$1" "$2" & exec sleep "$3"`;
    const app = launch(["/bin/sh", "-c", script, process.execPath, STUBBORN, port, "60"]);
    const sockets = await both;
    for (const socket of sockets) socket.resume();
    process.kill(app.pid, "SIGTERM");
    assert.deepEqual(await app.exited, { code: null, signal: "SIGTERM" });
    await Promise.all(sockets.map(closed));
  });

  test("arguments and environment arrive, also names that no shell holds", async () => {
    const script = `const { argv, env } = process;
      process.stdout.write([argv[1], env["spring.cloud.x"], env.PLAIN, ""].join(" "));`;
    const env = { "spring.cloud.x": "a b", PLAIN: "$(no) 'expansion'" };
    const app = launch([process.execPath, "-e", script, 'it\'s "one" argument'], env);
    assert.equal(await text(app.stdout), "it's \"one\" argument a b $(no) 'expansion' ");
    assert.deepEqual(await app.exited, { code: 0, signal: null });
  });

  test("the exit status is the app's own", async () => {
    assert.deepEqual(await launch(["/bin/sh", "-c", "exit 7"]).exited, { code: 7, signal: null });
    const missing = launchApp({ argv: ["true"], env: {}, workingDir: "/no/such/directory" });
    assert.deepEqual(await missing.exited, { code: 127, signal: null });
  });
}
