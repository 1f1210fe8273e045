import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../base/prng.ts";
import { ByteWriter } from "./byte-writer.ts";
import { HPACK_LIMITS, HpackDecoder, type HpackResult } from "./hpack-decoder.ts";
import { HpackEncoder } from "./hpack-encoder.ts";

type Pairs = readonly (readonly [name: string, value: string])[];

function decode(
  decoder: HpackDecoder,
  block: Buffer,
): { readonly result: HpackResult; readonly fields: string[] } {
  const fields: string[] = [];
  // In the midst of other bytes, which are not to be read.
  const around = Buffer.concat([Buffer.from([0x82]), block, Buffer.from([0x82])]);
  return { result: decoder.decode(around, 1, 1 + block.length, fields), fields };
}

function encode(encoder: HpackEncoder, fields: Pairs): Buffer {
  const out = new ByteWriter(16);
  encoder.beginBlock(out);
  for (const [name, value] of fields) {
    if (name === ":status") encoder.writeStatus(Number(value), out);
    else encoder.writeField(name, value, out);
  }
  return out.bytes.subarray(0, out.length);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

const GET = ":method GET|:scheme http|:path /|:authority www.example.com";
const GET_HTTPS = ":method GET|:scheme https|:path /index.html|:authority www.example.com";
const CACHED = "cache-control private|date Mon, 21 Oct 2013 20:13:21 GMT";
const AT = "location https://www.example.com";
const LATER =
  `:status 200|cache-control private|date Mon, 21 Oct 2013 20:13:22 GMT|${AT}|` +
  "content-encoding gzip|" +
  "set-cookie foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const REQUESTS: readonly (readonly [fields: string, tableBytes: number])[] = [
  [GET, 57],
  [`${GET}|cache-control no-cache`, 110],
  [`${GET_HTTPS}|custom-key custom-value`, 164],
];
const RESPONSES: readonly (readonly [fields: string, tableBytes: number])[] = [
  [`:status 302|${CACHED}|${AT}`, 222],
  [`:status 307|${CACHED}|${AT}`, 222],
  [LATER, 215],
];

/** RFC 7541 appendix C: blocks of one connection each, with their fields and the table behind. */
const VECTORS = [
  {
    name: "C.2.1 a literal that is kept",
    blocks: ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"],
    want: [["custom-key custom-header", 55]],
  },
  {
    name: "C.2.2 a literal that is not kept",
    blocks: ["040c 2f73 616d 706c 652f 7061 7468"],
    want: [[":path /sample/path", 0]],
  },
  {
    name: "C.2.3 a literal that is never kept",
    blocks: ["1008 7061 7373 776f 7264 0673 6563 7265 74"],
    want: [["password secret", 0]],
  },
  { name: "C.2.4 an indexed field", blocks: ["82"], want: [[":method GET", 0]] },
  {
    name: "C.3 requests without Huffman code",
    blocks: [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    want: REQUESTS,
  },
  {
    name: "C.4 requests with Huffman code",
    blocks: [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
    want: REQUESTS,
  },
  {
    name: "C.5 responses without Huffman code, in a table of 256 bytes",
    tableBytesMax: 256,
    blocks: [
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032" +
        "303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04" +
        "677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745" +
        "4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ],
    want: RESPONSES,
  },
  {
    name: "C.6 responses with Huffman code, in a table of 256 bytes",
    tableBytesMax: 256,
    blocks: [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e" +
        "919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7" +
        "821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0" +
        "03ed 4ee5 b106 3d50 07",
    ],
    want: RESPONSES,
  },
] as const;

for (const { name, blocks, want, ...more } of VECTORS) {
  test(`RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder({ ...HPACK_LIMITS, ...more });
    blocks.forEach((block, index) => {
      const { result, fields } = decode(decoder, hex(block));
      assert.equal(result, "ok");
      const [text, tableBytes] = want[index]!;
      assert.deepEqual(
        fields,
        text.split("|").flatMap((field) => {
          const blank = field.indexOf(" ");
          return [field.slice(0, blank), field.slice(blank + 1)];
        }),
      );
      assert.equal(decoder.tableBytes, tableBytes);
    });
  });
}

/** Ones behind `code`, to whole bytes: what the Huffman code is padded with. */
const A_OF_HUFFMAN = "1f";

/** Blocks that end the connection, each behind one that is right and keeps `a: b`. */
const WRONG: readonly (readonly [name: string, block: string])[] = [
  ["index 0", "80"],
  ["an index one beyond the dynamic table", "bf"],
  ["an index far beyond the tables", "ff ff 7f"],
  ["a name one beyond the dynamic table, kept", "7f 00 00"],
  ["a name one beyond the dynamic table, not kept", "0f 30 00"],
  ["a name one beyond the dynamic table, never kept", "1f 30 00"],
  ["an index that does not end", "ff"],
  ["an index that does not end behind a byte more", "ff 80"],
  ["an integer of five more bytes", "ff 80 80 80 80 00"],
  ["an integer that has no end", `ff ${"80".repeat(100)}`],
  ["a name's index that does not end", "0f"],
  ["a kept name's index that does not end", "7f"],
  ["a literal without a name", "00"],
  ["a literal without a value", "00 01 61"],
  ["an indexed name without a value", "04"],
  ["a length that does not end", "00 7f"],
  ["a name that is cut", "00 03 61 61"],
  ["a value that is cut", "00 01 61 03 61 61"],
  ["a Huffman value that is cut", `04 82 ${A_OF_HUFFMAN}`],
  ["a length of many bytes that are not there", "04 ff ff ff 7f 61"],
  ["a table size over ours", "3f e2 1f"],
  ["a table size that does not end", "3f e1"],
  ["a table size behind a field", "82 20"],
  ["a table size behind a literal", "04 00 20"],
  ["three table sizes", "20 20 3f e1 1f"],
  ["padding of a whole byte", `04 82 ${A_OF_HUFFMAN} ff`],
  ["padding of two whole bytes", "04 82 ff ff"],
  ["padding of zeros", "04 81 18"],
  ["padding whose last bit is zero", "04 81 1e"],
  ["a code that is cut at the text's end", "04 81 fe"],
  ["EOS alone", "04 84 ff ff ff ff"],
  ["EOS behind a letter", "04 85 1f ff ff ff ff"],
  ["a name that is not of Huffman's code", "00 81 00 00"],
];

for (const [name, block] of WRONG) {
  test(`a connection ends with ${name}`, () => {
    const decoder = new HpackDecoder();
    assert.equal(decode(decoder, hex("40 01 61 01 62")).result, "ok");
    assert.deepEqual(decode(decoder, hex("be")), { result: "ok", fields: ["a", "b"] });
    assert.equal(decode(decoder, hex(block)).result, "compression_error");
  });
}

/** Blocks at an edge that are right. */
const RIGHT: readonly (readonly [name: string, block: string, fields: string[]])[] = [
  ["nothing", "", []],
  ["a table size alone", "20", []],
  ["two table sizes and a field", "20 3f e1 1f 82", [":method", "GET"]],
  ["the last entry of the static table", "bd", ["www-authenticate", ""]],
  ["an integer of four more bytes", "0f 80 80 80 00 00", ["accept-charset", ""]],
  ["an empty name and value", "00 00 00", ["", ""]],
  ["an empty value of Huffman's code", "04 80", [":path", ""]],
  ["padding of three ones", `04 81 ${A_OF_HUFFMAN}`, [":path", "a"]],
  ["bytes that are no field's", "00 02 0d 0a 02 00 ff", ["\r\n", "\0ÿ"]],
];

for (const [name, block, want] of RIGHT) {
  test(`a block of ${name} is read`, () => {
    assert.deepEqual(decode(new HpackDecoder(), hex(block)), { result: "ok", fields: want });
  });
}

test("a table's entry is the same string each time", () => {
  const decoder = new HpackDecoder();
  const name = "6e".repeat(20);
  const value = "76".repeat(200);
  const first = decode(decoder, hex(`40 14 ${name} 7f 49 ${value}`)).fields;
  assert.deepEqual(first, ["n".repeat(20), "v".repeat(200)]);
  assert.deepEqual(decode(decoder, hex("be be")).fields, [...first, ...first]);
});

test("an entry pushes out the oldest, and one larger than the table all of them", () => {
  const decoder = new HpackDecoder({ ...HPACK_LIMITS, tableBytesMax: 70 });
  assert.equal(decode(decoder, hex("40 01 61 01 62 40 01 63 01 64")).result, "ok");
  assert.equal(decoder.tableBytes, 68);
  assert.deepEqual(decode(decoder, hex("be bf")).fields, ["c", "d", "a", "b"]);
  assert.equal(decode(decoder, hex("40 01 65 01 66")).result, "ok");
  assert.deepEqual(decode(decoder, hex("be bf")).fields, ["e", "f", "c", "d"]);
  const large = decode(decoder, hex(`40 01 67 26 ${"68".repeat(38)}`));
  assert.deepEqual(large, { result: "ok", fields: ["g", "h".repeat(38)] });
  assert.equal(decoder.tableBytes, 0);
  assert.equal(decode(decoder, hex("be")).result, "compression_error");
});

test("a new entry may have the name of the one that it pushes out", () => {
  const decoder = new HpackDecoder({ ...HPACK_LIMITS, tableBytesMax: 40 });
  assert.equal(decode(decoder, hex("40 01 61 01 62")).result, "ok");
  assert.deepEqual(decode(decoder, hex("7e 01 63 be")).fields, ["a", "c", "a", "c"]);
});

test("a smaller table loses its oldest entries, and a size of zero all", () => {
  const decoder = new HpackDecoder();
  decode(decoder, hex("40 01 61 01 62 40 01 63 01 64"));
  assert.deepEqual(decode(decoder, hex("3f 09 be")).fields, ["c", "d"]);
  assert.equal(decoder.tableBytes, 34);
  assert.equal(decode(decoder, hex("20 3f e1 1f")).result, "ok");
  assert.equal(decode(decoder, hex("be")).result, "compression_error");
});

test("a list over its bytes is read on for the table's sake, and not kept", () => {
  const decoder = new HpackDecoder({ ...HPACK_LIMITS, listBytesMax: 100 });
  const [name, value] = ["61".repeat(20), "62".repeat(40)];
  const kept = decode(decoder, hex(`40 14 ${name} 28 ${value}`));
  assert.deepEqual(kept, { result: "ok", fields: ["a".repeat(20), "b".repeat(40)] });
  const bomb = hex(`be ${"be".repeat(10_000)} 40 01 63 01 64`);
  assert.deepEqual(decode(decoder, bomb), { ...kept, result: "list_too_large" });
  assert.deepEqual(decode(decoder, hex("be")), { result: "ok", fields: ["c", "d"] });
  assert.equal(decode(decoder, hex("be be be be")).result, "list_too_large");
  assert.equal(decode(decoder, hex("be be")).result, "ok");
});

test("a list over its count is read on for the table's sake, and not kept", () => {
  const decoder = new HpackDecoder({ ...HPACK_LIMITS, fieldCountMax: 3 });
  const want = [":method", "GET", ":method", "GET", ":method", "GET"];
  assert.deepEqual(decode(decoder, hex("828282")), { result: "ok", fields: want });
  const over = decode(decoder, hex("82828282 40 01 63 01 64"));
  assert.deepEqual(over, { result: "list_too_large", fields: want });
  assert.deepEqual(decode(decoder, hex("be")).fields, ["c", "d"]);
});

test("a list that is too large and then wrong ends the connection", () => {
  const decoder = new HpackDecoder({ ...HPACK_LIMITS, fieldCountMax: 1 });
  assert.equal(decode(decoder, hex("828280")).result, "compression_error");
});

/** A text of letters or, rarely, of any bytes. */
function randomText(prng: SeededPrng, lengthMax: number): string {
  const isAny = prng.below(4) === 0;
  return Array.from({ length: prng.below(lengthMax) }, () =>
    String.fromCharCode(isAny ? prng.below(256) : 97 + prng.below(26)),
  ).join("");
}

function randomFields(prng: SeededPrng, names: readonly string[]): Pairs {
  return Array.from({ length: prng.below(20) }, (): [string, string] => {
    if (prng.below(8) === 0) return [":status", String(200 + prng.below(400))];
    const name = names[prng.below(names.length)]!;
    if (prng.below(2) === 0) return [name, String(prng.below(4))];
    return [name, randomText(prng, prng.below(30) === 0 ? 3_000 : 60)];
  });
}

test("what one side encodes the other decodes, whatever sizes the table is given", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new SeededPrng(seed);
    const names = [
      ...[":path", "accept", "age", "authorization", "cookie", "date", "set-cookie", "vary"],
      ...Array.from({ length: 20 }, () => `x-${randomText(prng, 12)}`),
    ];
    const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
    for (let block = 0; block < 60; block++) {
      const sizes = prng.below(6) === 0 ? 1 + prng.below(3) : 0;
      for (let size = 0; size < sizes; size++) encoder.setTableBytesMax(prng.below(6_000));
      const fields = randomFields(prng, names);
      const got = decode(decoder, encode(encoder, fields));
      assert.deepEqual(got, { result: "ok", fields: fields.flat() }, `seed ${seed}, ${block}`);
    }
  }
});

test("more names than the encoder remembers are still decoded", () => {
  const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
  for (let count = 0; count < 1_000; count++) {
    const fields: Pairs = [
      [`x-${count}`, "1"],
      ["x-same", "2"],
    ];
    assert.deepEqual(decode(decoder, encode(encoder, fields)).fields, fields.flat());
  }
});

test("what stays the same becomes one byte, and what does not pushes nothing out", () => {
  const encoder = new HpackEncoder();
  const same: Pairs = [
    [":status", "200"],
    ["content-type", "application/json"],
    ["x-kept", "a value that stays"],
  ];
  encode(encoder, same);
  for (let count = 0; count < 200; count++) encode(encoder, [["x-other", `v${count}`]]);
  assert.equal(encode(encoder, same).length, 3);
});

test("a value that comes a second time is kept", () => {
  const encoder = new HpackEncoder();
  const sizes = ["Monday", "Tuesday", "Tuesday", "Tuesday", "Monday"].map(
    (value) => encode(encoder, [["date", value]]).length,
  );
  // Kept; named by its index; kept; both by their indexes.
  assert.deepEqual(sizes, [7, 10, 8, 1, 1]);
});

test("secrets are never kept, here or further on", () => {
  const encoder = new HpackEncoder();
  for (const [name, value] of [
    ["authorization", "Basic dXNlcjpwYXNzd29yZDEyMzQ1"],
    ["proxy-authorization", "Basic dXNlcjpwYXNzd29yZDEyMzQ1"],
    ["set-cookie", "session=1234567890123456789012345"],
    ["cookie", "a=1234567"],
  ] as const) {
    const first = encode(encoder, [[name, value]]);
    assert.equal(first[0]! & 0xf0, 0x10, name);
    assert.deepEqual(encode(encoder, [[name, value]]), first);
  }
  const long = "session=1234567890123456789012345";
  encode(encoder, [["cookie", long]]);
  assert.equal(encode(encoder, [["cookie", long]]).length, 1);
});

test("a peer's table sizes are told at the next block: the smallest, then the last", () => {
  const encoder = new HpackEncoder();
  const told = (...sizes: number[]): string => {
    for (const size of sizes) encoder.setTableBytesMax(size);
    return encode(encoder, [[":method", "GET"]]).toString("hex");
  };
  assert.equal(told(), "82");
  assert.equal(told(65_536), "82", "ours stays the same");
  assert.equal(told(100), "3f4582");
  assert.equal(told(100), "82");
  assert.equal(told(0, 100_000), "203fe11f82");
  assert.equal(told(50, 20, 30), "343e82");
});
