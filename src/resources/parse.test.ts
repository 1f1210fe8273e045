import assert from "node:assert/strict";
import { test } from "node:test";
import { FILE_BYTES_MAX, parseManifests } from "./parse.ts";

function places(text: string): string[] {
  return parseManifests(text, "t.yaml").faults.map(
    ({ position, code }) => `${position?.line ?? 0}:${position?.column ?? 0} ${code}`,
  );
}

function values(text: string): unknown[] {
  return parseManifests(text, "t.yaml").documents.map(({ value }) => value);
}

test("every document of a file is an object of its own, and empty ones are nothing", () => {
  assert.deepEqual(values("---\na: 1\n---\n---\n# only a comment\n---\nb: 2\n...\n"), [
    { a: 1 },
    { b: 2 },
  ]);
  assert.deepEqual(values(""), []);
});

test("JSON, also indented with tabs, is read as it is", () => {
  assert.deepEqual(values('{\n\t"a": [1, "x", null, true],\n\t"b": {"__proto__": 1}\n}'), [
    { a: [1, "x", null, true], b: JSON.parse('{"__proto__": 1}') as unknown },
  ]);
});

test("words that only YAML 1.1 takes for booleans stay texts", () => {
  assert.deepEqual(values("{a: yes, b: on, c: true, d: 1.0, true: x}"), [
    { a: "yes", b: "on", c: true, d: 1, true: "x" },
  ]);
});

test("anchors, aliases and merge keys work", () => {
  assert.deepEqual(values("a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}"), [
    { a: { k: 1 }, b: { k: 1 }, c: { k: 1, l: 2 } },
  ]);
});

test("the items of a List are objects with positions of their own", () => {
  const text = "kind: List\nitems:\n- kind: A\n- kind: B\n  spec:\n    x: 1\n";
  const { documents } = parseManifests(text, "t.yaml");
  assert.deepEqual(
    documents.map(({ value }) => value),
    [{ kind: "A" }, { kind: "B", spec: { x: 1 } }],
  );
  assert.deepEqual(documents[1]?.positionOf(["spec", "x"]), { file: "t.yaml", line: 6, column: 8 });
});

test("a place is the value beside its key, the key of a block, and the nearest that exists", () => {
  const text = "spec:\n  list:\n  - a: 1\n    b:\n      c: [x]\n  none:\n";
  const positionOf = parseManifests(text, "t").documents[0]?.positionOf;
  const place = (path: (string | number)[], part?: "key" | "value"): string => {
    const position = positionOf?.(path, part);
    return `${position?.line ?? 0}:${position?.column ?? 0}`;
  };
  assert.equal(place(["spec"]), "1:1");
  assert.equal(place(["spec", "list", 0]), "3:5");
  assert.equal(place(["spec", "list", 0, "a"]), "3:8");
  assert.equal(place(["spec", "list", 0, "a"], "key"), "3:5");
  assert.equal(place(["spec", "list", 0, "b"]), "4:5");
  assert.equal(place(["spec", "list", 0, "b", "c"]), "5:10");
  assert.equal(place(["spec", "list", 0, "b", "gone", 3]), "4:5");
  assert.equal(place(["spec", "list", 7]), "2:3");
  assert.equal(place(["spec", "none"]), "6:3");
});

test("a place inside an alias is where its anchor stands", () => {
  const positionOf = parseManifests("a: &x {k: 1}\nb: *x", "t").documents[0]?.positionOf;
  assert.deepEqual(positionOf?.(["b", "k"]), { file: "t", line: 1, column: 11 });
});

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const laughs = [
  "a: &a [x, x, x, x, x, x, x, x, x, x]",
  ..."bcdefgh".split("").map((name, index) => {
    const before = "abcdefg"[index] ?? "";
    return `${name}: &${name} [${Array<string>(10).fill(`*${before}`).join(", ")}]`;
  }),
].join("\n");

const faulty: readonly { name: string; text: string; want: readonly string[] }[] = [
  { name: "a syntax error has its place", text: "a: 1\nb: {c: 1\n", want: ["3:1 GL0006"] },
  {
    name: "a second key has its place",
    text: "a: 1\nb: {c: 1, c: 2}\na: 2",
    want: ["3:1 GL0007", "2:11 GL0007"],
  },
  { name: "aliases that multiply are refused", text: laughs, want: ["1:1 GL0009"] },
  { name: "an alias of itself is refused", text: "a: &a [*a]", want: ["1:1 GL0009"] },
  { name: "values nest at most 100 deep", text: `a: ${nested(150)}`, want: ["1:1 GL0009"] },
  {
    name: "absurd nesting of lists is refused",
    text: `a: 1\n${"- ".repeat(5000)}`,
    want: ["2:1 GL0009"],
  },
  {
    name: "absurd indentation is refused",
    text: Array.from({ length: 500 }, (_each, level) => `${" ".repeat(level)}a:`).join("\n"),
    want: ["201:1 GL0009"],
  },
  { name: "absurd nesting is refused", text: nested(200_000), want: ["1:1 GL0009"] },
  { name: "a file has a size limit", text: "#".repeat(FILE_BYTES_MAX + 1), want: ["1:1 GL0005"] },
  {
    name: "an object has a size limit",
    text: `a: 1\n---\nb: ${"x".repeat(1_600_000)}`,
    want: ["3:1 GL0008"],
  },
  { name: "an unknown tag is a warning", text: "a: !thing 1", want: ["1:4 GL0012"] },
  { name: "a key is a text", text: "{[1]: 2}", want: ["1:2 GL0006"] },
];

for (const { name, text, want } of faulty) {
  test(name, () => {
    assert.deepEqual(places(text), want);
  });
}

test("brackets in texts do not nest", () => {
  const text = `a: |\n  ${"[".repeat(1000)}\nb: '${"{".repeat(1000)}'`;
  assert.deepEqual(values(text), [{ a: `${"[".repeat(1000)}\n`, b: "{".repeat(1000) }]);
});

test("a broken document does not take the others with it", () => {
  const parsed = parseManifests("a: 1\n---\nb: c: d\n---\ne: 2\n", "t.yaml");
  assert.deepEqual(
    parsed.documents.map(({ value }) => value),
    [{ a: 1 }, { e: 2 }],
  );
  assert.equal(parsed.faults[0]?.position?.line, 3);
});

test("a mapping of very many keys is read in good time", () => {
  const text = Array.from({ length: 20_000 }, (_each, index) => `k${index}: ${index}`).join("\n");
  assert.equal(Object.keys(values(text)[0] as object).length, 20_000);
});
