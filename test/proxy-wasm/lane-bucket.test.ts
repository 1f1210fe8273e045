//! The plug-in lane-bucket gives a gateway Envoy the very buckets that `src/lane/key-hash.ts` gives
//! ours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { clientAddress, cookieValue } from "../../src/dataplane/filter/request-operands.ts";
import type { EditableRequest } from "../../src/dataplane/filter/request-header-map.ts";
import { makeKeyHash } from "../../src/lane/key-hash.ts";
import { KEY_HASHES } from "../../src/snapshot/cohort.ts";
import { Headers } from "../../src/http/headers.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import type { HeaderPair } from "../../src/wasm/header-pairs.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { startPlugin, testServices } from "../support/plugin.ts";

const BUCKET = "x-graylane-bucket";
const KEYS = 400;
const SALTS = ["", "release", "naïve ☂", "s".repeat(300)];
const REMOTE = "10.0.0.9";

async function start(configuration: object): Promise<Plugin> {
  const services = testServices();
  const text = JSON.stringify({
    header: BUCKET,
    hash: "fnv1a",
    modulo: 1_000_000,
    ...configuration,
  });
  const plugin = await startPlugin("lane-bucket", text, services);
  assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
  return plugin;
}

/** The connection comes from `address`, as Envoy writes it. */
function bucketOf(
  plugin: Plugin,
  headers: readonly HeaderPair[],
  address = `${REMOTE}:4711`,
): string | undefined {
  const host = new FakeStreamHost([[":path", "/"], ...headers]);
  host.properties.set("source.address", new TextEncoder().encode(address));
  const stream = plugin.createStream(host);
  assert.ok(stream !== null);
  assert.equal(stream.onRequestHeaders(true), 0);
  stream.finish();
  return host.request.get(BUCKET);
}

for (const hash of KEY_HASHES) {
  for (const salt of SALTS) {
    test(`${hash} with a salt of ${salt.length} characters deals as ours does`, async () => {
      for (const modulo of [100, 1_000_000]) {
        const key = { kind: "header", name: "x-user" };
        const plugin = await start({ key, hash, salt, modulo });
        const ours = makeKeyHash({ hash, salt, modulo });
        const prng = new SeededPrng(7);
        for (let index = 0; index < KEYS; index++) {
          const length = 1 + prng.below(index < 20 ? 200 : 12);
          const codes = Array.from({ length }, () => 0x21 + prng.below(0xdf));
          const text = String.fromCharCode(...codes);
          assert.equal(bucketOf(plugin, [["x-user", text]]), String(ours.bucketOf(text)), text);
        }
      }
    });
  }
}

/** The key that our gateway reads, as the bucket that both give it. */
function expected(key: string | undefined): string | undefined {
  if (key === undefined || key === "") return undefined;
  const ours = makeKeyHash({ hash: "fnv1a", salt: "", modulo: 1_000_000 });
  return String(ours.bucketOf(key));
}

function requestOf(headers: readonly HeaderPair[]): EditableRequest {
  const fields = new Headers();
  for (const [name, value] of headers) fields.add(name, value);
  return { headers: fields, method: "GET", target: "/", authority: "" };
}

const COOKIES = [
  ...["uid=a", "uid=", "uid", "", "a=1; uid=b", "a=1;uid=b;c", " uid = b ", "\tuid=b\t;x=1"],
  ...["xuid=a", "uidx=a", "uid=a=b", "=a", ";;uid=a;;", "uid=a; uid=b", "UID=a", "uid==", "uid=a;"],
];

test("a cookie is found as ours finds it, and what a client says of buckets goes", async () => {
  const plugin = await start({ key: { kind: "cookie", name: "uid" } });
  for (const cookie of COOKIES) {
    const headers = [["cookie", cookie] as const];
    const want = expected(cookieValue(requestOf(headers), "uid"));
    assert.equal(bucketOf(plugin, [...headers, [BUCKET, "5"]]), want, cookie);
  }
  assert.equal(bucketOf(plugin, [[BUCKET, "5"]]), undefined);
});

const FORWARDED = ["1.1.1.1", "1.1.1.1, 2.2.2.2", "a,b,c,d", " , 2.2.2.2", "::ffff:3.3.3.3,x", ""];

test("a client's address is found as ours finds it", async () => {
  for (const trustedHops of [0, 1, 2]) {
    const plugin = await start({ key: { kind: "clientIp", trustedHops } });
    for (const field of FORWARDED) {
      const headers = [["x-forwarded-for", field] as const];
      const want = expected(clientAddress(requestOf(headers), REMOTE, trustedHops));
      assert.equal(bucketOf(plugin, headers), want, `${trustedHops}: ${field}`);
    }
    for (const [written, address] of [
      ["[2001:db8::1]:443", "2001:db8::1"],
      ["[::ffff:1.2.3.4]:443", "1.2.3.4"],
      ["1.2.3.4:1", "1.2.3.4"],
    ] as const) {
      assert.equal(bucketOf(plugin, [], written), expected(address), written);
    }
  }
});

for (const [name, configuration, words] of [
  ["a hash that is not known", { key: { kind: "header", name: "a" }, hash: "md5" }, /hash md5/],
  ["a modulo that does not divide", { key: { kind: "header", name: "a" }, modulo: 3 }, /modulo/],
  ["no key", {}, /key must be an object/],
  ["another kind of key", { key: { kind: "claim", name: "a" } }, /key.kind claim/],
] as const) {
  test(`a configuration is refused for ${name}`, async () => {
    const services = testServices();
    const all = Object.assign({ header: BUCKET, hash: "fnv1a", modulo: 100 }, configuration);
    const plugin = await startPlugin("lane-bucket", JSON.stringify(all), services);
    assert.ok(!(plugin instanceof Plugin));
    assert.match(services.lines.join("\n"), words);
  });
}
