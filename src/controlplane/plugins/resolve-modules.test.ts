import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Resource } from "../../resources/object.ts";
import { systemClock } from "../../base/clock.ts";
import { FakeRegistry, TYPES } from "./fake-registry.ts";
import { ModuleResolver } from "./resolve-modules.ts";
import type { ModuleFault } from "./resolve-modules.ts";
import type { ResolvedModule } from "./module-cache.ts";

const WASM = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
const WASM_SHA256 = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";

const directory = mkdtempSync(join(tmpdir(), "graylane-modules-"));
after(() => {
  rmSync(directory, { recursive: true });
});

const file = (name: string, content: Uint8Array | string): string => {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
};
const builtIn = file("built-in.wasm", WASM);
const resolver = new ModuleResolver({
  stateDir: join(directory, "state"),
  packageRoot: directory,
  network: null,
  images: {
    resolvePlugin: (url) => {
      if (url === "registry.example/hash-tagging:v1") return { kind: "file", path: builtIn };
      return url === "registry.example/own:v1" ? { kind: "builtin", name: "own" } : null;
    },
  },
});

function pluginOf(spec: object): Resource {
  return {
    apiVersion: "extensions.istio.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name: "tag", namespace: "istio-system" },
    spec,
  };
}

async function resolveOne(spec: object): Promise<ResolvedModule | ModuleFault> {
  const module = (await resolver.resolve([pluginOf(spec)])).get("istio-system/tag");
  assert.ok(module !== undefined);
  return module as ModuleFault | ResolvedModule;
}

function urlOf(name: string, content: Uint8Array | string): string {
  return pathToFileURL(file(name, content)).href;
}

test("a new module that is resolved several times at once is copied, each time", async () => {
  const url = urlOf("new.wasm", Buffer.concat([WASM, Buffer.from([0x00, 0x02, 0x01, 0x61])]));
  const found = await Promise.all(Array.from({ length: 8 }, () => resolveOne({ url })));
  for (const module of found) assert.ok("path" in module, JSON.stringify(module));
});

test("an image of the image map resolves to its file, copied under its digest", async () => {
  const module = await resolveOne({ url: "registry.example/hash-tagging:v1" });
  assert.ok("path" in module);
  assert.equal(module.sha256, WASM_SHA256);
  assert.equal(module.path, join(directory, "state", "modules", `${WASM_SHA256}.wasm`));
  assert.deepEqual(readFileSync(module.path), WASM);
});

test("a built-in plug-in is found in the package", async () => {
  mkdirSync(join(directory, "plugins", "own"), { recursive: true });
  file(join("plugins", "own", "own.wasm"), WASM);
  const module = await resolveOne({ url: "registry.example/own:v1" });
  assert.ok("path" in module);
});

test("a file that is edited later changes nothing for a module that was resolved", async () => {
  const url = urlOf("edited.wasm", WASM);
  const before = await resolveOne({ url });
  assert.ok("path" in before);
  file("edited.wasm", Buffer.concat([WASM, Buffer.from([0, 1, 0])]));
  const later = await resolveOne({ url });
  assert.ok("path" in later);
  assert.notEqual(later.sha256, before.sha256);
  assert.deepEqual(readFileSync(before.path), WASM);
});

test("a digest in spec.sha256 that fits is accepted, in either case", async () => {
  const url = urlOf("fits.wasm", WASM);
  assert.ok("path" in (await resolveOne({ url, sha256: WASM_SHA256.toUpperCase() })));
});

test("a cached module that was deleted is written again", async () => {
  const url = urlOf("again.wasm", WASM);
  const module = await resolveOne({ url });
  assert.ok("path" in module);
  rmSync(module.path);
  await resolveOne({ url });
  assert.deepEqual(readFileSync(module.path), WASM);
});

const faults = [
  {
    name: "a file that is not there",
    spec: (): object => ({ url: "file:///nowhere/at-all.wasm" }),
    code: "GL0402",
    says: /\/nowhere\/at-all\.wasm cannot be read/,
  },
  {
    name: "a file url with a host",
    spec: (): object => ({ url: "file://relative/path.wasm" }),
    code: "GL0402",
    says: /relative\/path\.wasm does not name a file here/,
  },
  {
    name: "a file that is not Wasm",
    spec: (): object => ({ url: urlOf("text.wasm", "(module)") }),
    code: "GL0403",
    says: /text\.wasm is not a WebAssembly module: it begins with 286d6f64756c6529/,
  },
  {
    name: "an empty file",
    spec: (): object => ({ url: urlOf("empty.wasm", "") }),
    code: "GL0403",
    says: /it is empty/,
  },
  {
    name: "another digest than the file's",
    spec: (): object => ({ url: urlOf("digest.wasm", WASM), sha256: "00".repeat(32) }),
    code: "GL0404",
    says: /has the SHA-256 93a44bbb/,
  },
];

for (const { name, spec, code, says } of faults) {
  test(`${name} is a fault that says what to do`, async () => {
    const fault = await resolveOne(spec());
    assert.ok("error" in fault);
    assert.equal(fault.code, code);
    assert.match(fault.error, says);
    assert.notEqual(fault.remedy, "");
  });
}

/** Whether what was pulled once is pulled again when the object's spec has changed. */
const POLICIES: readonly (readonly [policy: string | undefined, tag: string, again: boolean])[] = [
  [undefined, ":v1", false],
  [undefined, ":latest", true],
  [undefined, "", true],
  ["UNSPECIFIED_POLICY", ":latest", true],
  ["IfNotPresent", ":latest", false],
  ["IfNotPresent", ":v1", false],
  ["Always", ":v1", true],
  ["Always", "@digest", false],
];
for (const [policy, tag, again] of POLICIES) {
  const name = `${policy ?? "no policy"}, ${tag === "" ? "no tag" : tag}`;
  test(`${name}: a changed object pulls ${again ? "again" : "no more"}`, async (context) => {
    const registry = await FakeRegistry.start();
    context.after(() => registry.stop());
    const layers = [{ type: TYPES.wasmLayer, bytes: WASM }];
    const digest = registry.image("team/plugin:v1", layers);
    registry.image("team/plugin:latest", layers);
    const network = { insecureRegistries: new Set<string>(), clock: systemClock };
    const pulling = new ModuleResolver({
      ...{ stateDir: mkdtempSync(join(directory, "state-")), packageRoot: directory },
      images: { resolvePlugin: () => null },
      network: { ...network, onChange: () => undefined },
    });
    const url = `oci://${registry.host}/team/plugin${tag.replace("digest", digest)}`;
    const spec = { url, ...(policy === undefined ? {} : { imagePullPolicy: policy }) };
    const pulls = (): number =>
      registry.requests.filter((line) => line.includes("/manifests/")).length;
    for (const [generation, wanted] of [
      [1, 1],
      [1, 1],
      [2, again ? 2 : 1],
    ] as const) {
      const plugin = pluginOf(spec);
      const object = { ...plugin, metadata: { ...plugin.metadata, generation } };
      const module = (await pulling.resolve([object])).get("istio-system/tag");
      assert.ok(module !== undefined && "path" in module, JSON.stringify(module));
      assert.equal(pulls(), wanted);
    }
  });
}

test("without a network an image that is not in the cache is pending, not a fault", async () => {
  const module = await resolveOne({ url: "registry.example/other:v1" });
  assert.ok("error" in module);
  assert.equal(module.code, "GL0411");
  assert.equal(module.isPending, true);
});

// Root may read everything, hence no file without permissions.
test("a file that cannot be read is a fault", async () => {
  const path = file("folder.wasm", WASM);
  rmSync(path);
  symlinkSync(path, path);
  const fault = await resolveOne({ url: pathToFileURL(path).href });
  assert.ok("error" in fault);
});
