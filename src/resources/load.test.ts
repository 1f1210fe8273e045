import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { formatFault } from "./format-fault.ts";
import { loadFiles } from "./load.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-load-"));
after(() => {
  rmSync(folder, { recursive: true });
});

const namespace = (name: string): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n`;

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function names(loaded: Awaited<ReturnType<typeof loadFiles>>): string[] {
  return loaded.resources.map(({ resource }) => resource.metadata.name);
}

function codes(loaded: Awaited<ReturnType<typeof loadFiles>>): string[] {
  return loaded.faults.map(({ code }) => code);
}

test("a folder gives its manifests by name, and its subfolders when asked", async () => {
  write("tree/b.yml", namespace("b"));
  write("tree/a.yaml", namespace("a"));
  write(
    "tree/c.json",
    JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "c" } }),
  );
  write("tree/notes.txt", "not: a manifest");
  write("tree/.hidden.yaml", namespace("hidden"));
  write("tree/sub/d.yaml", namespace("d"));
  const path = join(folder, "tree");
  assert.deepEqual(names(await loadFiles([path])), ["a", "b", "c"]);
  assert.deepEqual(names(await loadFiles([path], { recursive: true })), ["a", "b", "c", "d"]);
});

test("standard input is a file among others", async () => {
  const stdin = (async function* (): AsyncGenerator<Uint8Array> {
    yield* await Promise.resolve([
      Buffer.from(namespace("x").slice(0, 9)),
      Buffer.from(namespace("x").slice(9)),
    ]);
  })();
  const loaded = await loadFiles(["-"], { stdin });
  assert.deepEqual(names(loaded), ["x"]);
  assert.equal(loaded.resources[0]?.positionOf(["metadata", "name"]).file, "<stdin>");
});

test("everything that cannot be read is said at once, and the rest is loaded", async () => {
  mkdirSync(join(folder, "empty"));
  const loaded = await loadFiles([
    join(folder, "nowhere.yaml"),
    join(folder, "empty"),
    write("latin1.yaml", Buffer.from([0x61, 0x3a, 0x20, 0xe9])),
    write("big.yaml", "#".repeat(3 * 1024 * 1024 + 1)),
    write("good.yaml", namespace("good")),
  ]);
  assert.deepEqual(codes(loaded), ["GL0002", "GL0004", "GL0003", "GL0005"]);
  assert.deepEqual(names(loaded), ["good"]);
});

test("an object that stands twice is an error that names both places", async () => {
  const first = write("twice/1.yaml", namespace("n"));
  const second = write("twice/2.yaml", `# again\n${namespace("n")}`);
  const loaded = await loadFiles([first, second]);
  assert.deepEqual(loaded.faults.map(formatFault), [
    `${second}:5:9: error GL0010: this object stands already at ${first}:4:9 (Namespace n)\n` +
      "  fix: Remove one of the two.",
  ]);
});

test("a file named twice is read once", async () => {
  const path = write("once.yaml", namespace("once"));
  assert.deepEqual(codes(await loadFiles([path, path])), []);
});

test("a byte order mark is not part of the text", async () => {
  const path = write("bom.yaml", `\ufeff${namespace("bom")}`);
  assert.deepEqual(names(await loadFiles([path])), ["bom"]);
});

test("the faults of a file stand in the order of its lines", async () => {
  const path = write("order.yaml", `kind: X\n---\na: b: c\n---\n${namespace("A_B")}`);
  const lines = (await loadFiles([path])).faults.map(({ position }) => position?.line);
  assert.deepEqual(lines, [1, 3, 8]);
});
