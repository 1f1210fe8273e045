import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import { makeKeyHash } from "../lane/key-hash.ts";
import { runCli } from "./program.ts";

const NO_PLUGIN_TOOLS = {
  inspect: () => Promise.resolve(0),
  test: () => Promise.resolve(0),
  run: () => Promise.resolve(0),
  profile: () => Promise.resolve(0),
};

const HASH = makeKeyHash({ hash: "murmur3", salt: "default/shop", modulo: 100 });
const KEYS = Array.from({ length: 500 }, (_none, index) => `user-${index}`);

const lane = (name: string, percent: string): string => `
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: ${name}, namespace: default}
spec: {group: shop, selector: {matchLabels: {lane: ${name}}}, ratio: {percent: "${percent}"}}
`;

const GROUP = `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop, namespace: default}
spec:
  entry: {gateways: [{name: edge}]}
  services: [{name: cart}]
  baseline: {}
  context: {mode: header, routeHeader: x-lane}
  ratio: {key: {header: x-user-id}}
`;

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "graylane-plan-"));
  await writeFile(join(folder, "keys.txt"), `${KEYS.join("\n")}\n\n`);
  await writeFile(join(folder, "now.yaml"), [GROUP, lane("a", "10%")].join("---\n"));
});

after(async () => {
  await rm(folder, { recursive: true });
});

async function plan(change: string, ...words: readonly string[]) {
  await writeFile(join(folder, "new.yaml"), change);
  let stdout = "";
  let stderr = "";
  const files = ["-f", "new.yaml", "--before", "now.yaml", "--keys", "keys.txt"];
  const exitCode = await runCli(["lane", "plan", ...files, ...words], {
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    clock: new FakeClock(0),
    env: {},
    cwd: folder,
    version: "0.1.0",
    interrupted: new AbortController().signal,
    resolveModules: () => Promise.resolve(new Map()),
    offlineGateway: () => Promise.reject(new Error("not asked")),
    up: () => Promise.resolve(0),
    plugin: NO_PLUGIN_TOOLS,
    controller: () => Promise.resolve(0),
    envoy: () => Promise.resolve(0),
  });
  return { exitCode, stdout, stderr };
}

test("plan says how many keys a larger share moves in, and names some", async () => {
  const { exitCode, stdout } = await plan(lane("a", "30%"));
  assert.equal(exitCode, 0);
  const inside = (key: string): boolean => {
    const bucket = HASH.bucketOf(key);
    return bucket >= 100_000 && bucket < 300_000;
  };
  const moved = KEYS.filter(inside);
  const examples = moved.slice(0, 5).map((key) => `${key} (baseline -> a)`);
  assert.equal(
    stdout,
    `Lane group default/shop: key header x-user-id, murmur3, salt "default/shop"
  every base route
    a: 10 % -> 30 %
    of 500 keys: ${moved.length} in, 0 out, 0 between lanes, ${500 - moved.length} stay
    in: ${examples.join(", ")}, …
`,
  );
});

test("plan of another lane moves nobody between lanes, in JSON too", async () => {
  const { stdout } = await plan(lane("b", "50%"), "-o", "json");
  const { keyCount, groups } = JSON.parse(stdout) as {
    keyCount: number;
    groups: { tables: { between: { count: number }; out: { count: number } }[] }[];
  };
  assert.equal(keyCount, 500);
  assert.deepEqual([groups[0]?.tables[0]?.between.count, groups[0]?.tables[0]?.out.count], [0, 0]);
});

test("plan of shares over 100 % says so, and exits with 1", async () => {
  const { exitCode, stdout, stderr } = await plan(lane("b", "95%"));
  assert.equal(exitCode, 1);
  assert.match(stderr, /GL0340.*105 %.*a 10 %, b 95 %/);
  assert.match(stdout, /0 in, 0 out, 0 between lanes/);
});

test("plan without its keys file says what to name", async () => {
  await rm(join(folder, "keys.txt"));
  const { exitCode, stderr } = await plan(lane("a", "30%"));
  assert.equal(exitCode, 1);
  assert.match(stderr, /the keys cannot be read: ENOENT.*\nName a file with one key on each line/);
});
