import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FORM_PARTS_MAX, FORM_PART_HEAD_BYTES_MAX, readMultipartForm } from "./multipart-form.ts";

const TYPE = "multipart/form-data; boundary=BD";

function field(disposition: string, value: string, ...more: readonly string[]): string {
  const head = [`Content-Disposition: ${disposition}`, ...more].join("\r\n");
  return `--BD\r\n${head}\r\n\r\n${value}\r\n`;
}

function read(body: string, type = TYPE): Record<string, unknown> {
  const { fault, fields, files } = readMultipartForm(Buffer.from(body), type);
  return fault === "" ? { ...Object.fromEntries(fields), files: [...files] } : { fault };
}

const wire = (text: string): string => Buffer.from(text).toString("latin1");
const BROKEN = { fault: "broken-parts" };

const CASES: readonly (readonly [title: string, body: string, want: Record<string, unknown>])[] = [
  ["one field", `${field('form-data; name="a"', "1")}--BD--\r\n`, { a: "1", files: [] }],
  ["no line break at the end", `${field('form-data; name="a"', "1")}--BD--`, { a: "1", files: [] }],
  ["an empty value", `${field("form-data; name=a", "")}--BD--`, { a: "", files: [] }],
  [
    "the first of two fields of a name",
    `${field('form-data; name="a"', "1")}${field('form-data; name="a"', "2")}--BD--`,
    { a: "1", files: [] },
  ],
  [
    "a file is no field, and one behind it is",
    field('form-data; name="a"; filename="x.txt"', "1", "Content-Type: text/plain") +
      `${field('form-data; name="a"', "2")}--BD--`,
    { a: "2", files: ["a"] },
  ],
  [
    "a file with an encoded name, and one without a name",
    field("form-data; name=a; filename*=UTF-8''%e2%82%ac.txt", "1") +
      `${field('form-data; name=b; filename=""', "")}--BD--`,
    { files: ["a", "b"] },
  ],
  [
    "names and values in UTF-8",
    `${field('form-data; name="größe"', "李雷")}--BD--`,
    { [wire("größe")]: wire("李雷"), files: [] },
  ],
  [
    "what browsers escape, and only that",
    `${field('form-data; name="a%22b%0D%0ac%41"', "1")}--BD--`,
    { 'a"b\r\nc%41': "1", files: [] },
  ],
  [
    "a backslash before a quotation mark",
    `${field(String.raw`form-data; name="a\"b\c"`, "1")}--BD--`,
    { [String.raw`a"b\c`]: "1", files: [] },
  ],
  [
    "a semicolon in a quoted name, and spaces between",
    `${field('Form-Data ; NAME = "a"', "1").replace(" = ", "=").replace('"a"', '"a; b"')}--BD--`,
    { "a; b": "1", files: [] },
  ],
  [
    "line breaks in a value",
    `${field("form-data; name=a", "1\r\n2\r\n--B")}--BD--`,
    {
      a: "1\r\n2\r\n--B",
      files: [],
    },
  ],
  [
    "an encoding that changes nothing",
    `${field("form-data; name=a", "1", "content-transfer-encoding: 8BIT")}--BD--`,
    { a: "1", files: [] },
  ],
  [
    "an encoding that changes the value",
    `${field("form-data; name=a", "MQ==", "Content-Transfer-Encoding: base64")}--BD--`,
    BROKEN,
  ],
  ["no body", "", BROKEN],
  ["no last delimiter", field("form-data; name=a", "1"), BROKEN],
  ["something before the first delimiter", `x\r\n${field("form-data; name=a", "1")}--BD--`, BROKEN],
  ["something behind the last", `${field("form-data; name=a", "1")}--BD--\r\nx`, BROKEN],
  [
    "a delimiter that is longer than the boundary",
    `${field("form-data; name=a", "1")}--BDD--`,
    BROKEN,
  ],
  ["no part", "--BD--\r\n", BROKEN],
  ["a part without a name", `${field("form-data", "1")}--BD--`, BROKEN],
  ["a part of another kind", `${field("attachment; name=a", "1")}--BD--`, BROKEN],
  ["a name twice", `${field("form-data; name=a; name=b", "1")}--BD--`, BROKEN],
  [
    "a name that other parsers decode",
    `${field("form-data; name=a; name*=UTF-8''b", "1")}--BD--`,
    BROKEN,
  ],
  ["an open quotation mark", `${field('form-data; name="a', "1")}--BD--`, BROKEN],
  ["something behind a quoted name", `${field('form-data; name="a"b', "1")}--BD--`, BROKEN],
  [
    "two dispositions",
    `${field("form-data; name=a", "1", "content-disposition: form-data; name=b")}--BD--`,
    BROKEN,
  ],
  ["a folded header", `${field("form-data;\r\n name=a", "1")}--BD--`, BROKEN],
  ["a header without a colon", `${field("form-data; name=a", "1", "x")}--BD--`, BROKEN],
  [
    "line breaks of one byte",
    `${field("form-data; name=a", "1")}--BD--`.replaceAll("\r", ""),
    BROKEN,
  ],
];

for (const [title, body, want] of CASES) {
  test(`a multipart form: ${title}`, () => {
    assert.deepEqual(read(body), want);
  });
}

const TYPES: readonly (readonly [type: string, fault: string | null])[] = [
  ['Multipart/Form-Data; charset=utf-8; Boundary="BD"', null],
  ["multipart/form-data;boundary=BD;", null],
  ["multipart/form-data", "no-boundary"],
  ["multipart/form-data; boundary=", "no-boundary"],
  ['multipart/form-data; boundary=""', "no-boundary"],
  ['multipart/form-data; boundary="BD "', "no-boundary"],
  [`multipart/form-data; boundary=${"B".repeat(71)}`, "no-boundary"],
  ["multipart/form-data; boundary=BD; boundary=YY", "no-boundary"],
  ["multipart/form-data; boundary=YY", "broken-parts"],
];

for (const [type, fault] of TYPES) {
  test(`the boundary of ${type.slice(0, 60)}: ${fault ?? "is read"}`, () => {
    const want = fault === null ? { a: "1", files: [] } : { fault };
    assert.deepEqual(read(`${field("form-data; name=a", "1")}--BD--`, type), want);
  });
}

test("as many parts as the limit are read, and not one more", () => {
  const part = field("form-data; name=a", "1");
  assert.equal(read(`${part.repeat(FORM_PARTS_MAX)}--BD--`)["a"], "1");
  assert.deepEqual(read(`${part.repeat(FORM_PARTS_MAX + 1)}--BD--`), { fault: "too-many-parts" });
});

test("headers of a part as long as the limit are read, and not one byte more", () => {
  const disposition = "form-data; name=a";
  const long = "x: ".length + "Content-Disposition: \r\n".length + disposition.length;
  const ofLength = (bytes: number): string =>
    `${field(disposition, "1", `x: ${"y".repeat(bytes - long)}`)}--BD--`;
  assert.equal(read(ofLength(FORM_PART_HEAD_BYTES_MAX))["a"], "1");
  assert.deepEqual(read(ofLength(FORM_PART_HEAD_BYTES_MAX + 1)), { fault: "long-part-head" });
});

test("whatever a client sends, reading it throws nothing", () => {
  const snippets = [
    "--BD",
    "\r\n",
    "\r\n\r\n",
    "--",
    "; ",
    "name=",
    '"',
    "\\",
    "filename*=",
    "a",
    "%22",
  ];
  const heads = ["Content-Disposition: form-data", "content-type: text/plain", "boundary="];
  const piece = fc.oneof(
    fc.constantFrom(...snippets, ...heads),
    fc.string(),
    fc.string({ unit: "binary" }),
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(text, fc.option(text, { nil: "" }), (body, type) => {
      readMultipartForm(Buffer.from(body), TYPE);
      readMultipartForm(Buffer.from(body, "latin1"), `multipart/form-data; ${type}`);
    }),
    { numRuns: 2_000 },
  );
});

test("what the platform's own writer of forms writes is read back", async () => {
  const texts = fc.string({ unit: "grapheme", maxLength: 20 });
  // What cannot be told apart once it is written: see `plainName`.
  const names = texts.filter((name) => !/[%\\\0\r\n]/.test(name));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(names, { maxLength: 5 }), texts, async (given, value) => {
      const form = new FormData();
      for (const name of given) form.append(name, value);
      form.append("a file", new Blob([value]), "name");
      const response = new Response(form);
      const bytes = Buffer.from(await response.arrayBuffer());
      const { fault, fields } = readMultipartForm(
        bytes,
        response.headers.get("content-type") ?? "",
      );
      assert.equal(fault, "");
      for (const name of given) {
        const want = value.replaceAll(/\r?\n|\r/g, "\r\n");
        assert.equal(Buffer.from(fields.get(wire(name)) ?? "", "latin1").toString(), want);
      }
    }),
    { numRuns: 200 },
  );
});
