//! Nanoseconds to decode and to encode the head of a usual request and response in HPACK, with the
//! tables as they are in the midst of a connection. Run: npx tsx FILE

import { ByteWriter } from "../../src/http2/byte-writer.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack-encoder.ts";
import { huffmanEncode, huffmanLength } from "../../src/http2/huffman.ts";

const ROUNDS = 100_000;
const REQUEST: readonly string[] = [
  ...[":method", "GET", ":scheme", "https", ":authority", "shop.example.com"],
  ...["user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"],
  ...["accept", "*/*", "accept-encoding", "gzip, deflate, br", "x-user-id", "jack"],
];
const RESPONSE: readonly string[] = [
  ...["content-type", "application/json", "server", "sample", "vary", "accept-encoding"],
  ...["date", "Sat, 21 Nov 2026 08:00:00 GMT", "cache-control", "no-store"],
];
/** Fresh with each message, and not kept in a table. */
const PATHS = Array.from({ length: 64 }, (_unused, index) => `/api/orders/${17 + index}?verbose=1`);
const LENGTHS = PATHS.map((_path, index) => String(1_000 + index));

const decoder = new HpackDecoder();
const encoder = new HpackEncoder();
const out = new ByteWriter();
let sink = 0;

function literal(index: number, value: string, isCoded: boolean): Buffer {
  const bytes = Buffer.alloc(value.length * 4);
  const end = isCoded ? huffmanEncode(value, bytes, 0) : bytes.write(value, "latin1");
  return Buffer.concat([Buffer.from([index, (isCoded ? 0x80 : 0) | end]), bytes.subarray(0, end)]);
}

function decode(block: Buffer): void {
  const fields: string[] = [];
  decoder.decode(block, 0, block.length, fields);
  sink += fields.length;
}

/** A block that keeps the fields, and those which name them. */
function blocksOf(fields: readonly string[]): Buffer[][] {
  const writing = new HpackEncoder();
  const bytes = new ByteWriter();
  const write = (): Buffer => {
    bytes.length = 0;
    for (let at = 0; at < fields.length; at += 2) {
      writing.writeField(fields[at] ?? "", fields[at + 1] ?? "", bytes);
    }
    return Buffer.from(bytes.bytes.subarray(0, bytes.length));
  };
  const [first, rest] = [write(), write()];
  const after = (isCoded: boolean): Buffer[] =>
    PATHS.map((path) => Buffer.concat([rest, literal(4, path, isCoded)]));
  return [[first], PATHS.map(() => rest), after(false), after(true)];
}

function encodeResponse(round: number): void {
  out.length = 0;
  encoder.beginBlock(out);
  encoder.writeStatus(200, out);
  for (let at = 0; at < RESPONSE.length; at += 2) {
    encoder.writeField(RESPONSE[at] as string, RESPONSE[at + 1] as string, out);
  }
  encoder.writeField("content-length", LENGTHS[round & 63] as string, out);
  sink += out.length;
}

function measure(name: string, run: (round: number) => void): void {
  const samples: number[] = [];
  for (let sample = 0; sample < 11; sample++) {
    const before = process.cpuUsage().user;
    for (let round = 0; round < ROUNDS; round++) run(round);
    samples.push(((process.cpuUsage().user - before) * 1_000) / ROUNDS);
  }
  samples.sort((left, right) => left - right);
  const [best = 0, median = 0] = [samples[0], samples[5]];
  console.log(`${name}: ${median.toFixed(0)} ns (best ${best.toFixed(0)} ns)`);
}

const [first = [], indexed = [], plain = [], coded = []] = blocksOf(REQUEST);
decode(first[0] as Buffer);
measure(`decode request, 7 fields of the tables, ${indexed[0]?.length ?? 0} bytes`, (round) => {
  decode(indexed[round & 63] as Buffer);
});
measure("the same and a path as it stands", (round) => {
  decode(plain[round & 63] as Buffer);
});
measure(`the same and a path in Huffman code (${huffmanLength(PATHS[0] ?? "")} bytes)`, (round) => {
  decode(coded[round & 63] as Buffer);
});
measure("encode response, status, 5 kept fields and a length", encodeResponse);
measure("encode one new path in Huffman code", (round) => {
  out.length = 0;
  sink += huffmanEncode(PATHS[round & 63] as string, out.bytes, 0);
});
console.log(`(${sink})`);
