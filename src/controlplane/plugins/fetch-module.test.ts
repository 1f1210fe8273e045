// Against a stand-in for a registry; a real one is in test/components.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../base/clock.ts";
import { FakeRegistry, tarGzipOf, tarOf, TYPES } from "./fake-registry.ts";
import { fetchModule } from "./fetch-module.ts";
import type { ModuleSource } from "./fetch-module.ts";
import type { PullFault } from "./pull-fault.ts";

const WASM = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
const OTHER = Buffer.from("not this one");
const BYTES_MAX = 1024 * 1024;

const registry = await FakeRegistry.start();
const closed = await FakeRegistry.start();
const gone = closed.host;
await closed.stop();
after(() => registry.stop());
beforeEach(() => {
  registry.access = "open";
  registry.fault = null;
  registry.requests.length = 0;
});

function fetchOne(
  url: string,
  source: Partial<ModuleSource> = {},
): Promise<{ readonly bytes: Uint8Array } | PullFault> {
  return fetchModule(
    { url, sha256: "", dockerConfig: null, ...source },
    {
      insecureRegistries: new Set(),
      bytesMax: BYTES_MAX,
      clock: systemClock,
      signal: new AbortController().signal,
    },
  );
}

async function bytesOf(url: string, source: Partial<ModuleSource> = {}): Promise<Uint8Array> {
  const outcome = await fetchOne(url, source);
  assert.ok("bytes" in outcome, JSON.stringify(outcome));
  return outcome.bytes;
}

async function faultOf(url: string, source: Partial<ModuleSource> = {}): Promise<PullFault> {
  const outcome = await fetchOne(url, source);
  assert.ok("error" in outcome);
  assert.notEqual(outcome.remedy, "");
  return outcome;
}

const plugin = { "plugin.wasm": WASM };
const layouts = [
  {
    name: "a Docker image of one layer",
    layers: [{ type: TYPES.dockerLayer, bytes: tarGzipOf(plugin) }],
    type: TYPES.dockerManifest,
  },
  {
    name: "a Docker image of several layers, the upper one hides the lower one",
    layers: [
      { type: TYPES.dockerLayer, bytes: tarGzipOf({ "plugin.wasm": OTHER }) },
      { type: TYPES.dockerLayer, bytes: tarGzipOf({ "./plugin.wasm": WASM }) },
      { type: TYPES.dockerLayer, bytes: tarGzipOf({ "README.md": OTHER }) },
    ],
    type: TYPES.dockerManifest,
  },
  {
    name: "an OCI image (compat)",
    layers: [{ type: TYPES.ociLayer, bytes: tarGzipOf(plugin) }],
    type: TYPES.ociManifest,
  },
  {
    name: "an OCI image with a layer that is not packed",
    layers: [{ type: TYPES.ociPlainLayer, bytes: tarOf(plugin) }],
    type: TYPES.ociManifest,
  },
  {
    name: "an OCI artifact with a Wasm layer and a configuration",
    layers: [{ type: TYPES.wasmLayer, bytes: WASM }],
    type: TYPES.ociManifest,
  },
  {
    name: "a bare Wasm layer of the type application/wasm",
    layers: [{ type: "application/wasm", bytes: WASM }],
    type: TYPES.ociManifest,
  },
  {
    name: "Higress' artifact with a description and a README beside the plug-in",
    layers: [
      { type: "application/vnd.module.wasm.spec.v1+yaml", bytes: OTHER },
      { type: "application/vnd.module.wasm.doc.v1+markdown", bytes: OTHER },
      { type: TYPES.ociLayer, bytes: tarGzipOf(plugin) },
    ],
    type: TYPES.ociManifest,
  },
];

layouts.forEach(({ name, layers, type }, index) => {
  test(`the module is found in ${name}`, async () => {
    registry.image(`team/layout:${index}`, layers, type);
    assert.deepEqual(await bytesOf(`oci://${registry.host}/team/layout:${index}`), WASM);
  });
});

for (const type of [TYPES.ociIndex, TYPES.dockerList]) {
  test(`of an index (${type}) the Wasm image is taken before another platform's`, async () => {
    const entry = (name: string, bytes: Uint8Array, platform: object): object => ({
      mediaType: TYPES.ociManifest,
      digest: registry.image(name, [{ type: TYPES.wasmLayer, bytes }]),
      platform,
    });
    const manifests = [
      entry("team/multi:a", OTHER, { os: "unknown", architecture: "unknown" }),
      entry("team/multi:b", OTHER, { os: "linux", architecture: "amd64" }),
      entry("team/multi:c", WASM, { os: "wasip1", architecture: "wasm" }),
    ];
    const index = { schemaVersion: 2, mediaType: type, manifests };
    registry.manifest("team/multi:all", index);
    assert.deepEqual(await bytesOf(`${registry.host}/team/multi:all`), WASM);
  });
}

test("an image is pulled by digest, with or without a tag, and checked against it", async () => {
  const digest = registry.image("team/fixed:v1", [{ type: TYPES.wasmLayer, bytes: WASM }]);
  const image = `oci://${registry.host}/team/fixed`;
  assert.deepEqual(await bytesOf(`${image}@${digest}`), WASM);
  assert.deepEqual(await bytesOf(`${image}:v1@${digest}`), WASM);
});

test("a layer or manifest that is not what its digest says is refused", async () => {
  const layer = (text: string): Uint8Array => Buffer.concat([WASM, Buffer.from(text)]);
  const imageOf = (tag: string): string =>
    registry.image(`team/damaged:${tag}`, [{ type: TYPES.wasmLayer, bytes: layer(tag) }]);
  const image = `${registry.host}/team/damaged`;
  imageOf("layer");
  const fixed = imageOf("manifest");
  const listed = { mediaType: TYPES.ociManifest, digest: imageOf("listed") };
  const platform = { os: "wasip1", architecture: "wasm" };
  const index = { schemaVersion: 2, mediaType: TYPES.ociIndex };
  registry.manifest("team/damaged:index", { ...index, manifests: [{ ...listed, platform }] });
  for (const [url, digest] of [
    [`${image}:layer`, registry.blob(layer("layer"))],
    [`${image}@${fixed}`, fixed],
    [`${image}:index`, listed.digest],
  ] as const) {
    assert.ok((await bytesOf(url)).length > 0);
    registry.damaged.add(digest);
    const fault = await faultOf(url);
    registry.damaged.clear();
    assert.equal(fault.code, "GL0404");
    assert.match(fault.error, new RegExp(`the registry sent sha256:[0-9a-f]{64} for ${digest}`));
  }
});

test("spec.sha256 of a tag is the image's digest, or the module's", async () => {
  const digest = registry.image("team/checked:v1", [{ type: TYPES.wasmLayer, bytes: WASM }]);
  const own = createHash("sha256").update(WASM).digest("hex");
  const url = `${registry.host}/team/checked:v1`;
  assert.deepEqual(await bytesOf(url, { sha256: digest.replace("sha256:", "") }), WASM);
  assert.deepEqual(await bytesOf(url, { sha256: own }), WASM);
  assert.equal((await faultOf(url, { sha256: "0".repeat(64) })).code, "GL0404");
});

for (const access of ["basic", "bearer"] as const) {
  test(`a registry that asks for ${access} is given the pull secret's credential`, async () => {
    registry.image("team/private:v1", [{ type: TYPES.wasmLayer, bytes: WASM }]);
    registry.access = access;
    const url = `${registry.host}/team/private:v1`;
    const { dockerConfig } = registry;
    assert.deepEqual(await bytesOf(url, { dockerConfig }), WASM);
    const none = await faultOf(url);
    assert.equal(none.code, "GL0409");
    assert.equal(none.isTemporary, false);
    const wrong = dockerConfig.replace(/"auth":"[^"]*"/, '"username":"x","password":"y"');
    assert.equal((await faultOf(url, { dockerConfig: wrong })).code, "GL0409");
  });
}

test("a web server's file is taken as it is, packed, or as the first of an archive", async () => {
  assert.deepEqual(await bytesOf(registry.file("a.wasm", WASM)), WASM);
  assert.deepEqual(await bytesOf(registry.file("a.wasm.gz", gzipSync(WASM))), WASM);
  assert.deepEqual(await bytesOf(registry.file("a.tgz", tarGzipOf({ "x.wasm": WASM }))), WASM);
  const url = registry.file("b.wasm", WASM);
  assert.equal((await faultOf(url, { sha256: "0".repeat(64) })).code, "GL0404");
});

const faults = [
  {
    name: "an image that the registry does not have",
    url: (): string => `${registry.host}/team/none:v1`,
    code: "GL0407",
    says: /team\/none:v1: the registry has no such image \(404\): MANIFEST_UNKNOWN/,
  },
  {
    name: "a text that is no image name",
    url: (): string => "oci://Registry.example/UPPER:v1",
    code: "GL0407",
    says: /is not the name of an image/,
  },
  {
    name: "a file that the web server does not have",
    url: (): string => `http://${registry.host}/files/none.wasm`,
    code: "GL0407",
    says: /no such file \(404\)/,
  },
  {
    name: "a registry that nobody answers for",
    url: (): string => `${gone}/team/plugin:v1`,
    code: "GL0408",
    says: /127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/,
  },
  {
    name: "an image without plugin.wasm",
    url: (): string => {
      const bytes = tarGzipOf({ "main.wasm": WASM });
      registry.image("team/misnamed:v1", [{ type: TYPES.ociLayer, bytes }]);
      return `${registry.host}/team/misnamed:v1`;
    },
    code: "GL0410",
    says: /holds no plugin\.wasm: its files are main\.wasm/,
  },
  {
    name: "an image whose upper layer deletes the plug-in",
    url: (): string => {
      registry.image("team/deleted:v1", [
        { type: TYPES.ociLayer, bytes: tarGzipOf({ "plugin.wasm": WASM }) },
        { type: TYPES.ociLayer, bytes: tarGzipOf({ ".wh.plugin.wasm": Buffer.alloc(0) }) },
      ]);
      return `${registry.host}/team/deleted:v1`;
    },
    code: "GL0410",
    says: /holds no plugin\.wasm/,
  },
  {
    name: "a module that is larger than the limit",
    url: (): string => {
      registry.image("team/large:v1", [
        { type: TYPES.wasmLayer, bytes: Buffer.alloc(BYTES_MAX + 1) },
      ]);
      return `${registry.host}/team/large:v1`;
    },
    code: "GL0406",
    says: /sends 1048577 bytes or more, the limit is 1048576/,
  },
  {
    name: "an archive that unpacks to more than the limit",
    url: (): string => {
      const bytes = tarGzipOf({ "plugin.wasm": Buffer.alloc(2 * BYTES_MAX) });
      registry.image("team/bomb:v1", [{ type: TYPES.ociLayer, bytes }]);
      return `${registry.host}/team/bomb:v1`;
    },
    code: "GL0406",
    says: /more than 1048576 bytes when it is unpacked/,
  },
  {
    name: "a layer that is cut off",
    url: (): string => {
      const bytes = gzipSync(tarOf({ "plugin.wasm": Buffer.alloc(4000) }).subarray(0, 2048));
      registry.image("team/cut:v1", [{ type: TYPES.ociLayer, bytes }]);
      return `${registry.host}/team/cut:v1`;
    },
    code: "GL0410",
    says: /a layer cannot be read: the archive is cut off/,
  },
];

for (const { name, url, code, says } of faults) {
  test(`${name} is a fault that says so`, async () => {
    const fault = await faultOf(url());
    assert.equal(fault.code, code);
    assert.match(fault.error, says);
  });
}

test("a server's own failure is temporary, what it refuses is not", async () => {
  const url = `${registry.host}/team/any:v1`;
  registry.fault = (response) => response.writeHead(503).end();
  assert.equal((await faultOf(url)).isTemporary, true);
  registry.fault = (response) => response.writeHead(429).end();
  assert.equal((await faultOf(url)).isTemporary, true);
  registry.fault = (response) => response.writeHead(403).end();
  assert.equal((await faultOf(url)).isTemporary, false);
  registry.fault = (response) => response.destroy();
  assert.equal((await faultOf(url)).isTemporary, true);
});

test("a registry that is not on loopback is spoken to with TLS", async () => {
  const fault = await faultOf("registry.invalid/team/any:v1");
  assert.equal(fault.code, "GL0408");
  assert.match(fault.error, /registry\.invalid cannot be reached/);
});

test("a password is not sent to a token service without TLS elsewhere", async () => {
  registry.fault = (response) =>
    response
      .writeHead(401, { "www-authenticate": 'Bearer realm="http://elsewhere.example/token"' })
      .end();
  const fault = await faultOf(`${registry.host}/team/any:v1`, {
    dockerConfig: registry.dockerConfig,
  });
  assert.equal(fault.code, "GL0409");
  assert.match(fault.error, /elsewhere\.example\/token is no https address/);
});
