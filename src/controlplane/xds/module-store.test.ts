import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { MODULES_PATH } from "../../compile-envoy/module-code.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { ModuleStore, NODE_HEADER } from "./module-store.ts";

const BYTES = Buffer.from("some module");
const DIGEST = createHash("sha256").update(BYTES).digest("hex");
const DAMAGED = "a".repeat(64);
const GONE = "b".repeat(64);
const logged: string[] = [];
const log = (message: string): void => {
  logged.push(message);
};
const folder = mkdtempSync(join(tmpdir(), "graylane-modules-"));
let server: Server;
let store: ModuleStore;
let address = "";

before(async () => {
  const sends = new Metrics().counter({
    ...{ name: "sends_total", help: "sends", labelNames: ["outcome"] },
  });
  store = new ModuleStore({ debug: log, info: log, warn: log, error: log }, sends);
  const offered = { [DIGEST]: "good", [DAMAGED]: "damaged", [GONE]: "gone" };
  for (const [sha256, name] of Object.entries(offered)) {
    const path = join(folder, `${name}.wasm`);
    store.offer({ sha256, path });
    if (sha256 !== GONE) writeFileSync(path, BYTES);
  }
  server = createServer((socket) => {
    store.serve(socket);
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const path = (sha256: string): string => `${MODULES_PATH}${sha256}.wasm`;
const CASES: readonly (readonly [what: string, path: string, init: RequestInit, want: number])[] = [
  ["a module by its digest", path(DIGEST), {}, 200],
  ["that of another attempt", `${path(DIGEST)}?attempt=12`, {}, 200],
  ["one that is had already", path(DIGEST), { headers: { "if-none-match": `"${DIGEST}"` } }, 304],
  ["its head", path(DIGEST), { method: "HEAD" }, 200],
  ["one that no plug-in names", path("c".repeat(64)), {}, 404],
  ["a path beside the digests", `${MODULES_PATH}../${DIGEST}.wasm`, {}, 404],
  ["a digest in capitals", path(DIGEST.toUpperCase()), {}, 404],
  ["another method", path(DIGEST), { method: "POST", body: "x" }, 405],
  ["a file that is not what it was", path(DAMAGED), {}, 500],
  ["a file that is gone", path(GONE), {}, 500],
];
for (const [what, where, init, want] of CASES) {
  test(`the store answers ${want} for ${what}`, async () => {
    const response = await fetch(address + where, init);
    const body = Buffer.from(await response.arrayBuffer());
    assert.equal(response.status, want);
    if (want !== 200) return;
    assert.equal(response.headers.get("etag"), `"${DIGEST}"`);
    assert.match(response.headers.get("cache-control") ?? "", /immutable/);
    assert.equal(response.headers.get("content-length"), String(BYTES.length));
    if (init.method !== "HEAD") assert.deepEqual(body, BYTES);
  });
}

test("what an Envoy fetches is told to who watches it, and to nobody else", async () => {
  const told: string[] = [];
  const listen = (name: string) => (sha256: string, phase: string) => {
    told.push(`${name} ${sha256.slice(0, 2)} ${phase}`);
  };
  const ends = ["one", "two"].map((name) => store.watch(name, listen(name)));
  const headers = { [NODE_HEADER]: "one" };
  for (const sha256 of [DIGEST, DAMAGED, "c".repeat(64)]) {
    await (await fetch(address + path(sha256), { headers })).arrayBuffer();
  }
  for (const end of ends) end();
  await (await fetch(address + path(DIGEST), { headers })).arrayBuffer();
  const good = DIGEST.slice(0, 2);
  assert.deepEqual(
    told.sort(),
    [
      ...[`one ${good} begun`, `one ${good} sent`].sort(),
      ...["one aa begun", "one aa failed", "one cc failed"],
    ].sort(),
  );
  assert.ok(logged.includes("a module could not be sent"));
});
