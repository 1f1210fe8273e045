//! The same .wasm in real Envoy and in our host: the same tag for 10,000 user ids.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { once } from "node:events";
import { resolve } from "node:path";
import { test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { fnv1a32 } from "../../src/base/fnv1a.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { Envoy, findEnvoy, httpListener, wasmFilter } from "../support/envoy.ts";
import { builtPlugin, startPlugin, testServices } from "../support/plugin.ts";

const USER_COUNT = 10_000;
const CONNECTIONS = 4;
const SEED = 20_261_121;
const MODULO = 100;
/** Cumulative, uneven, and with a rest that gets no tag. */
const POLICIES = [
  { range: 1, tagValue: "s0" },
  { range: 20, tagValue: "s1" },
  { range: 20, tagValue: "never" },
  { range: 73, tagValue: "s2" },
];
const RULES = [
  { header: "x-user-id", modulo: MODULO, tagHeader: "x-asm-prefer-tag", policies: POLICIES },
];
const CONFIGURATION = JSON.stringify({ rules: RULES });
/** The tag that a client sends: it must stay when no policy matches. */
const OWN_TAG = "own";

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;

test(`Envoy and our host tag ${USER_COUNT} users alike`, { skip }, async () => {
  assert.ok(binary.kind === "found");
  const users = randomUsers();
  const ours = await tagsOfOurHost(users);
  const expected = users.map(tagByHash);
  assert.deepEqual(ours, expected);
  const port = await freePort();
  const envoy = await Envoy.start({
    binary: binary.path,
    staticResources: { listeners: [taggingListener(port)] },
  });
  try {
    const envoys = await tagsOfEnvoy(port, users);
    const wrong = users.filter((_user, index) => envoys[index] !== ours[index]);
    assert.deepEqual(wrong, []);
  } finally {
    await envoy.stop();
  }
  assert.deepEqual(new Set(expected), new Set(["s0", "s1", "s2", OWN_TAG]));
});

test("Envoy refuses a wrong configuration and its log names the field", { skip }, async () => {
  assert.ok(binary.kind === "found");
  const filter = wasmFilter("tagging", resolve(builtPlugin("hash-tagging")), '{"rules":[{}]}');
  const listener = httpListener(await freePort(), [filter], []);
  await assert.rejects(
    Envoy.start({ binary: binary.path, staticResources: { listeners: [listener] } }),
    /rules\[0\]\.policies is missing/,
  );
});

/** User ids as Latin-1 text, one character per byte on the wire: half ASCII, half UTF-8. */
function randomUsers(): string[] {
  const prng = new SeededPrng(SEED);
  const users = ["", "jason", "bob", "stacy", "jessie", "vance", "jack", "a".repeat(4000)];
  while (users.length < USER_COUNT) {
    const length = prng.below(100) === 0 ? prng.below(2000) : prng.below(24);
    const first = prng.below(2) === 0 ? 0x21 : 0x4e00;
    const span = first === 0x21 ? 0x5e : 0x5000;
    const points = Array.from({ length }, () => first + prng.below(span));
    users.push(Buffer.from(String.fromCodePoint(...points), "utf8").toString("latin1"));
  }
  return users;
}

function tagByHash(user: string): string {
  const bucket = fnv1a32(Buffer.from(user, "latin1")) % MODULO;
  return POLICIES.find((policy) => bucket < policy.range)?.tagValue ?? OWN_TAG;
}

async function tagsOfOurHost(users: readonly string[]): Promise<string[]> {
  const plugin = await startPlugin("hash-tagging", CONFIGURATION, testServices());
  assert.ok(plugin instanceof Plugin);
  return users.map((user) => {
    const host = new FakeStreamHost([
      ["x-user-id", user],
      ["x-asm-prefer-tag", OWN_TAG],
    ]);
    const stream = plugin.createStream(host);
    assert.equal(stream?.onRequestHeaders(true), 0);
    stream.finish();
    return host.request.get("x-asm-prefer-tag") ?? "";
  });
}

/** Answers each request itself, with the tag that the filter has left in the request. */
function taggingListener(port: number): object {
  const filter = wasmFilter("tagging", resolve(builtPlugin("hash-tagging")), CONFIGURATION);
  const header = { key: "x-tag", value: "%REQ(x-asm-prefer-tag)%" };
  const route = {
    match: { prefix: "/" },
    direct_response: { status: 200 },
    response_headers_to_add: [{ header }],
  };
  return httpListener(port, [filter], [route]);
}

async function tagsOfEnvoy(port: number, users: readonly string[]): Promise<string[]> {
  const share = Math.ceil(users.length / CONNECTIONS);
  const parts = Array.from({ length: CONNECTIONS }, (_, index) =>
    askAll(port, users.slice(index * share, (index + 1) * share)),
  );
  return (await Promise.all(parts)).flat();
}

/** Sends the users one after another over one connection; raw, so that every byte is ours. */
async function askAll(port: number, users: readonly string[]): Promise<string[]> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const tags: string[] = [];
  for (const user of users) tags.push(await ask(socket, user));
  socket.destroy();
  return tags;
}

async function ask(socket: Socket, user: string): Promise<string> {
  const head = `GET / HTTP/1.1\r\nhost: test\r\nx-asm-prefer-tag: ${OWN_TAG}\r\n`;
  socket.write(Buffer.from(`${head}x-user-id: ${user}\r\n\r\n`, "latin1"));
  let text = "";
  while (!text.includes("\r\n\r\n")) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    text += chunk.toString("latin1");
  }
  assert.match(text, /^HTTP\/1\.1 200 /);
  return /\r\nx-tag: (.*)\r\n/.exec(text)?.[1] ?? "";
}
