//! Our HPACK beside nghttp2's: what one encodes the other decodes, and of mutated blocks both say
//! the same. GRAYLANE_FUZZ_SECONDS makes it longer, GRAYLANE_FUZZ_SEED gives other blocks.

import assert from "node:assert/strict";
import { connect } from "node:http2";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { TYPE, PREFACE, frame, readFrames } from "../../src/dataplane/testing/http2-frames.ts";
import { ByteWriter } from "../../src/http2/byte-writer.ts";
import { HpackDecoder, type HpackResult } from "../../src/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack-encoder.ts";
import { Nghttp2Peer, type Reading } from "./nghttp2-peer.ts";

const SEED = Number(process.env["GRAYLANE_FUZZ_SEED"] ?? 20_261_123);
const SECONDS = Number(process.env["GRAYLANE_FUZZ_SECONDS"] ?? 0);
const BLOCKS = 1_500;
const CONNECTIONS = 25;
/** The library gives a connection up after many streams that were wrong. */
const BLOCKS_OF_CONNECTION = 40;
const COMPRESSION_ERROR = 9;

type Pair = readonly [name: string, value: string];

const GET: readonly Pair[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a.test"],
];

function printable(prng: SeededPrng, lengthMax: number): string {
  return Array.from({ length: prng.below(lengthMax) }, () =>
    String.fromCharCode(prng.below(9) === 0 ? 0x21 + prng.below(94) : 97 + prng.below(26)),
  ).join("");
}

/** Fields that the library takes as they are. */
function randomHead(prng: SeededPrng, names: readonly string[]): Pair[] {
  const path = `/${printable(prng, 20)}`;
  const head: Pair[] = GET.map(([name, value]) => [
    name,
    name === ":path" && prng.below(2) === 0 ? path : value,
  ]);
  for (let count = prng.below(15); count > 0; count--) {
    const isSame = prng.below(2) === 0;
    head.push([
      names[prng.below(names.length)]!,
      isSame ? "the same" : printable(prng, prng.below(20) === 0 ? 2_500 : 40),
    ]);
  }
  return head;
}

function randomNames(prng: SeededPrng): string[] {
  const own = Array.from({ length: 12 }, (_unused, index) => `x-${index}${letters(prng)}`);
  return ["cookie", "authorization", "accept", "user-agent", "vary", ...own];
}

function letters(prng: SeededPrng): string {
  return Array.from({ length: prng.below(12) }, () =>
    String.fromCharCode(97 + prng.below(26)),
  ).join("");
}

function encode(encoder: HpackEncoder, fields: readonly Pair[]): Buffer {
  const out = new ByteWriter();
  encoder.beginBlock(out);
  for (const [name, value] of fields) encoder.writeField(name, value, out);
  return Buffer.from(out.bytes.subarray(0, out.length));
}

test("nghttp2 decodes what we encode, with tables of any size", async () => {
  for (let seed = 0; seed < CONNECTIONS; seed++) {
    const prng = new SeededPrng(SEED + seed);
    const tableBytes = prng.below(3) === 0 ? 4_096 : prng.below(6_000);
    const peer = new Nghttp2Peer(tableBytes);
    const encoder = new HpackEncoder();
    // The library takes its own smaller size as known once its SETTINGS are acknowledged.
    encoder.setTableBytesMax(Math.min(tableBytes, 4_096));
    const names = randomNames(prng);
    for (let count = 0; count < BLOCKS_OF_CONNECTION; count++) {
      const fields = randomHead(prng, names);
      const { fields: got, reset, goaway } = await peer.read(encode(encoder, fields));
      assert.deepEqual({ reset, goaway }, { reset: null, goaway: null });
      assert.deepEqual(got, fields.flat(), `GRAYLANE_FUZZ_SEED=${SEED + seed}, block ${count}`);
    }
    peer.close();
  }
});

/** Header blocks as the library's client writes them, one for each of `heads`. */
async function blocksOf(heads: readonly (readonly Pair[])[]): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  let bytes: Buffer = Buffer.alloc(0);
  const wire = new Duplex({
    read() {
      // Nothing is answered but SETTINGS.
    },
    write(chunk: Buffer, _encoding, done) {
      bytes = Buffer.concat([bytes, chunk]);
      done();
      wire.emit("written");
    },
  });
  const session = connect("http://a.test", { createConnection: () => wire });
  session.on("error", () => undefined);
  wire.push(frame("settings", Buffer.alloc(0)));
  for (const head of heads) {
    const values: Record<string, string | string[]> = Object.create(null) as never;
    for (const [name, value] of head) values[name] = [values[name] ?? [], value].flat();
    for (const [name] of GET) values[name] = [values[name] ?? ""].flat()[0] ?? "";
    session.request(values, { endStream: true }).on("error", () => undefined);
  }
  while (bytes.length < PREFACE.length || blocks.length < heads.length) {
    const { frames } = readFrames(bytes.subarray(PREFACE.length));
    const parts = frames.filter(({ type }) => type === TYPE.headers || type === TYPE.continuation);
    blocks.length = 0;
    for (const { type, payload } of parts) {
      if (type === TYPE.headers) blocks.push(payload);
      else blocks.push(Buffer.concat([blocks.pop()!, payload]));
    }
    if (blocks.length < heads.length) await new Promise((done) => wire.once("written", done));
  }
  session.destroy();
  return blocks;
}

test("we decode what nghttp2 encodes", async () => {
  const single = /^(?:authorization|user-agent)$/;
  for (let seed = 0; seed < CONNECTIONS; seed++) {
    const prng = new SeededPrng(SEED + seed);
    const names = randomNames(prng).filter((name) => !single.test(name));
    const heads = Array.from({ length: BLOCKS_OF_CONNECTION }, () => randomHead(prng, names));
    const decoder = new HpackDecoder();
    (await blocksOf(heads)).forEach((block, index) => {
      const fields: string[] = [];
      assert.equal(decoder.decode(block, 0, block.length, fields), "ok");
      assert.deepEqual(sorted(fields), sorted(heads[index]!.flat()), `${SEED + seed}`);
    });
  }
});

/** The library puts fields of one name together. */
function sorted(fields: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < fields.length; at += 2) lines.push(`${fields[at]!}: ${fields[at + 1]!}`);
  return lines.sort();
}

/** What of a block we refuse on purpose, where the library reads on. */
const STRICTER: readonly (readonly [name: string, is: (block: Buffer) => boolean])[] = [
  ["an integer of more than four further bytes", (block) => hasLongInteger(block)],
  ["a third size of the table", (block) => block[0]! >> 5 === 1 && block[1]! >> 5 === 1],
];

/** Five bytes in a row that say that another follows. */
function hasLongInteger(block: Buffer): boolean {
  return block.some((_byte, at) => [1, 2, 3, 4].every((next) => (block[at + next] ?? 0) >= 0x80));
}

function mutate(prng: SeededPrng, block: Buffer): Buffer {
  let bytes = block;
  for (let count = 1 + prng.below(3); count > 0; count--) {
    const at = prng.below(bytes.length + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const edge = [0, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xc5, 0xff][prng.below(9)]!;
    const byte = Buffer.from([prng.below(2) === 0 ? edge : prng.below(256)]);
    const kind = prng.below(5);
    if (kind === 0) bytes = Buffer.concat([before, byte, after]);
    else if (kind === 1) bytes = Buffer.concat([before, byte, after.subarray(1)]);
    else if (kind === 2) bytes = Buffer.concat([before, after.subarray(1 + prng.below(4))]);
    else if (kind === 3) bytes = Buffer.concat([before, after, after]);
    else bytes = at === 0 ? bytes : before;
  }
  return bytes;
}

interface Fuzzed {
  readonly findings: string[];
  readonly tally: Record<string, number>;
}

interface Read {
  readonly block: Buffer;
  readonly ours: HpackResult;
  readonly fields: readonly string[];
  readonly theirs: Reading;
}

/** What the two say of a block, if not the same. */
function findingOf({ block, ours, fields, theirs }: Read, tally: Fuzzed["tally"]): string | null {
  const isRefused = theirs.goaway === COMPRESSION_ERROR;
  const words = `${ours}, ${isRefused ? "refused" : theirs.fields === null ? "no head" : "ok"}`;
  tally[words] = (tally[words] ?? 0) + 1;
  const isKnown = !isRefused && STRICTER.some(([, is]) => is(block));
  if ((ours === "compression_error") !== isRefused && !isKnown) return words;
  return ours === "ok" && !isAlike(fields, theirs.fields) ? "other fields" : null;
}

/** One connection to both, until one of them has enough of it. */
async function fuzzConnection(prng: SeededPrng, { findings, tally }: Fuzzed): Promise<number> {
  const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
  const peer = new Nghttp2Peer(4_096);
  const names = randomNames(prng);
  let count = 0;
  while (count++ < BLOCKS_OF_CONNECTION && !peer.isOver) {
    const right = encode(encoder, randomHead(prng, names));
    const block = prng.below(3) === 0 ? right : mutate(prng, right);
    const fields: string[] = [];
    const ours = decoder.decode(block, 0, block.length, fields);
    const finding = findingOf({ block, ours, fields, theirs: await peer.read(block) }, tally);
    if (finding !== null) findings.push(`${finding}: ${block.toString("hex")}`);
    if (ours === "compression_error") break;
  }
  peer.close();
  return count;
}

/** The library leaves out what is no field and takes blanks off values. */
function isAlike(ours: readonly string[], theirs: readonly string[] | null): boolean {
  if (theirs === null) return true;
  const left = new Set(withoutBlanks(ours));
  return withoutBlanks(theirs).every((line) => left.has(line));
}

function withoutBlanks(fields: readonly string[]): string[] {
  return sorted(fields).map((line) => line.replace(/:[ \t]+/, ": ").replace(/[ \t]+$/, ""));
}

test("nghttp2 refuses the blocks that we refuse, and reads the others in the same way", async (context) => {
  const fuzzed: Fuzzed = { findings: [], tally: {} };
  const endMs = performance.now() + 1_000 * SECONDS;
  let blocks = 0;
  for (let round = 0; blocks < BLOCKS || performance.now() < endMs; round++) {
    const seed = SEED + round;
    const before = fuzzed.findings.length;
    blocks += await fuzzConnection(new SeededPrng(seed), fuzzed);
    if (fuzzed.findings.length > before) fuzzed.findings.push(`GRAYLANE_FUZZ_SEED=${seed}`);
    if (fuzzed.findings.length > 20) break;
  }
  context.diagnostic(`${blocks} blocks: ${JSON.stringify(fuzzed.tally)}`);
  assert.deepEqual(fuzzed.findings, []);
});
