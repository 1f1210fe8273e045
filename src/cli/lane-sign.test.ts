import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import { TagSigner } from "../lane/signed-tag.ts";
import { FAKE_TOKEN, FakeApi } from "./fake-api.ts";
import { runCli } from "./program.ts";

const NOW_MS = 1_800_000_000_000;
const KEY = "k".repeat(32);
const SIGNATURE = {
  keys: [{ id: "2026-11", signingSecret: Buffer.from(KEY).toString("base64") }],
  epoch: 3,
  lifetimeMs: 60_000,
};
const SIGNED = { secretName: "keys", epoch: 3, lifetimeSeconds: 60 };

let api: FakeApi;

beforeEach(async () => {
  api = await FakeApi.start();
  putGroup({});
  putLane({});
  putSecret({ "2026-11": KEY });
});

afterEach(() => api.stop());

function put(path: string, kind: string, name: string, content: object): void {
  const apiVersion = kind === "Secret" ? "v1" : "graylane.io/v1alpha1";
  const metadata = { name, namespace: "default" };
  api.put(path, { apiVersion, kind, metadata, ...content });
}

const OURS = "/apis/graylane.io/v1alpha1/namespaces/default";

function putGroup(changes: object, context: object = { signed: SIGNED }): void {
  const spec = {
    entry: { gateways: [{ name: "edge" }] },
    services: [{ name: "a" }],
    baseline: {},
    context: { mode: "header", routeHeader: "x-lane", ...context },
    acceptFromClients: true,
    ...changes,
  };
  put(`${OURS}/lanegroups/shop`, "LaneGroup", "shop", { spec });
}

function putLane(changes: object): void {
  const spec = { group: "shop", selector: { matchLabels: { lane: "gray" } }, ...changes };
  put(`${OURS}/lanes/gray`, "Lane", "gray", { spec });
}

function putSecret(stringData: object): void {
  put("/api/v1/namespaces/default/secrets/keys", "Secret", "keys", { stringData });
}

async function sign(...words: readonly string[]) {
  let stdout = "";
  let stderr = "";
  const server = ["--server", api.address, "--token", FAKE_TOKEN];
  const unused = (): Promise<never> => Promise.reject(new Error("not asked"));
  const exitCode = await runCli(["lane", "sign", ...words, ...server], {
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    clock: new FakeClock(NOW_MS),
    env: {},
    cwd: "/",
    version: "0.1.0",
    interrupted: new AbortController().signal,
    ...{
      resolveModules: unused,
      offlineGateway: unused,
      up: unused,
      envoy: unused,
      controller: unused,
    },
    plugin: { inspect: unused, test: unused, run: unused, profile: unused },
  });
  return { exitCode, stdout, stderr };
}

test("the tag alone is printed, and is good for as long as the group says", async () => {
  const { exitCode, stdout, stderr } = await sign("gray");
  assert.deepEqual([exitCode, stderr], [0, ""]);
  assert.match(stdout, /^gray~2026-11~3~\d+~[\w-]{43}\n$/);
  const signer = new TagSigner("default/shop", SIGNATURE);
  assert.deepEqual(signer.check(stdout.trim(), NOW_MS + 60_000), { tag: "gray" });
  assert.deepEqual(signer.check(stdout.trim(), NOW_MS + 80_000), { refusal: "expired" });
});

test("the lane's own tag is signed, for as long as asked", async () => {
  putLane({ tag: "grau" });
  const { stdout } = await sign("gray", "--duration", "1h30m");
  const signer = new TagSigner("default/shop", SIGNATURE);
  assert.deepEqual(signer.check(stdout.trim(), NOW_MS + 5_400_000), { tag: "grau" });
});

test("that gateways would remove it is said, and not in the output", async () => {
  putGroup({ acceptFromClients: false });
  const { exitCode, stdout, stderr } = await sign("gray");
  assert.equal(exitCode, 0);
  assert.match(stdout, /^gray~[^\n]*\n$/);
  assert.match(stderr, /acceptFromClients: false.* x-lane .*VirtualService/);
});

for (const [title, change, words, says] of [
  ["no such lane", () => undefined, ["blue"], /not found|NotFound/],
  [
    "a group that does not sign",
    () => {
      putGroup({}, {});
    },
    ["gray"],
    /lanegroup default\/shop does not sign/,
  ],
  [
    "no Secret",
    () => {
      api.objects.delete("/api/v1/namespaces/default/secrets/keys");
    },
    ["gray"],
    /no Secret keys/,
  ],
  [
    "a short key",
    () => {
      putSecret({ "2026-11": "short-key" });
    },
    ["gray"],
    /has no key of 32 bytes/,
  ],
  [
    "a closed lane",
    () => {
      putLane({ enabled: false });
    },
    ["gray"],
    /lane default\/gray is closed/,
  ],
  [
    "an expired lane",
    () => {
      putLane({ expiresAt: "2026-11-01T00:00:00Z" });
    },
    ["gray"],
    /expired at 2026-11-01/,
  ],
  ["a long duration", () => undefined, ["gray", "--duration", "25h"], /from 10s to 24h/],
  ["no duration", () => undefined, ["gray", "--duration", "soon"], /from 10s to 24h/],
] as const) {
  test(`nothing is signed for ${title}`, async () => {
    change();
    const { exitCode, stdout, stderr } = await sign(...words);
    assert.deepEqual([exitCode === 0, stdout], [false, ""]);
    assert.match(stderr, says);
    assert.ok(!stderr.includes("short-key"), "a key is shown");
  });
}
