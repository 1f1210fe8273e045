import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { loadImageMap, matchesImage } from "./image-map.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-image-map-"));
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
function write(text: string): string {
  const file = join(directory, `map-${count++}.yaml`);
  writeFileSync(file, text);
  return file;
}

const builtIn = resolve("catalogue/images.yaml");

test("the built-in map knows the samples and the hash-tagging plug-in, without faults", () => {
  const { map, faults } = loadImageMap([builtIn]);
  assert.deepEqual(faults, []);
  const sample = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";
  const command = map.resolveWorkload(sample)?.command;
  assert.deepEqual(command, ["{node}", resolve("samples/go-http-sample.js")]);
  for (const letter of ["a", "b", "c"]) {
    const image = `registry.cn-hangzhou.aliyuncs.com/mse-demo-hz/spring-cloud-${letter}:1`;
    assert.notDeepEqual(map.resolveWorkload(image)?.env ?? [], []);
  }
  const url = "registry-cn-hangzhou.ack.aliyuncs.com/acs/asm-wasm-hash-tagging:v1.22.6.2-g72656ba";
  assert.deepEqual(map.resolvePlugin(url), { kind: "builtin", name: "hash-tagging" });
  assert.deepEqual(map.resolvePlugin(`oci://${url}`), { kind: "builtin", name: "hash-tagging" });
  assert.equal(map.resolvePlugin("example.com/other:1"), null);
});

const globs = [
  { pattern: "a/b:1", image: "a/b:1", matches: true },
  { pattern: "a/b:1", image: "a/b:10", matches: false },
  { pattern: "a/b:*", image: "a/b:tracing", matches: true },
  { pattern: "a/b:*", image: "a/b", matches: true },
  { pattern: "a/b:*", image: "a/b@sha256:00", matches: true },
  { pattern: "a/b:*", image: "a/bc:1", matches: false },
  { pattern: "*/b:*", image: "x.y/z/b:1", matches: true },
  { pattern: "a*c*e", image: "abcde", matches: true },
  { pattern: "ab*ba", image: "aba", matches: false },
  { pattern: "a.c", image: "abc", matches: false },
];

for (const { pattern, image, matches } of globs) {
  test(`the pattern ${pattern} ${matches ? "takes" : "leaves"} ${image}`, () => {
    assert.equal(matchesImage(pattern, image), matches);
  });
}

test("the user's file wins over the built-in one, and its paths start at the file", () => {
  const own = write(`
workloads:
  - {image: "*/go-http-sample:*", command: [./run.sh, --port]}
plugins:
  - {url: "oci://example.com/mine:*", file: mine.wasm}
`);
  const { map, faults } = loadImageMap([own, builtIn]);
  assert.deepEqual(faults, []);
  const image = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";
  assert.deepEqual(map.resolveWorkload(image)?.command, [join(directory, "run.sh"), "--port"]);
  const mapping = { kind: "file", path: join(directory, "mine.wasm") };
  assert.deepEqual(map.resolvePlugin("example.com/mine:2"), mapping);
});

test("all faults of a map are told at once, with positions, and right entries stay", () => {
  const file = write(`workloads:
  - {image: "a:1", command: []}
  - {image: "b:1", command: [run], enviroment: []}
  - just text
plugins:
  - {url: "p:1"}
nonsense: 1
`);
  const { map, faults } = loadImageMap([file, join(directory, "missing.yaml")]);
  const told = faults.map(({ severity, code, position }) => [severity, code, position?.line]);
  assert.deepEqual(
    told.sort((a, b) => Number(a[2]) - Number(b[2])),
    [
      ["error", "GL0506", 1],
      ["error", "GL0507", 2],
      ["warning", "GL0507", 3],
      ["error", "GL0507", 4],
      ["error", "GL0507", 6],
      ["warning", "GL0507", 7],
    ],
  );
  assert.deepEqual(map.resolveWorkload("b:1")?.command, ["run"]);
  assert.equal(map.resolveWorkload("a:1"), null);
});

test("a map that is not YAML is one fault with its position", () => {
  const { faults } = loadImageMap([write("workloads: [\n  {image: 'x'\n")]);
  assert.ok(faults.length > 0);
  assert.ok(faults.every(({ code, position }) => code === "GL0507" && position !== null));
});
