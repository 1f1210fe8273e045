//! Fuzzing of the HTTP/1.1 codec: generated messages come back as they were made; mutated ones never
//! throw, never pass a limit, read the same however they are cut, and what is accepted reads the
//! same after it was written again.
//!
//! GRAYLANE_FUZZ_RUNS sets the inputs of each property, GRAYLANE_FUZZ_SEED replays a run.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import fc from "fast-check";
import { LAST_CHUNK, CHUNK_END, chunkHeader } from "../../src/http/serialize.ts";
import { serializeRequestHead, serializeResponseHead } from "../../src/http/serialize.ts";
import { serializeTrailers } from "../../src/http/serialize.ts";
import { removeHopByHop } from "../../src/http/hop-by-hop.ts";
import { Headers } from "../../src/http/headers.ts";
import { FIELD_COUNT_MAX, HEAD_BYTES_MAX, TARGET_BYTES_MAX } from "../../src/http/limits.ts";
import { isFieldName, isFieldValue, isMethod, isTarget } from "../../src/http/syntax.ts";
import type { RequestHead } from "../../src/http/request-parser.ts";
import type { ResponseHead } from "../../src/http/response-parser.ts";
import { REQUEST_CASES } from "./http-cases.ts";
import {
  readRequests,
  readResponse,
  split,
  type Outcome,
  type ReadMessage,
} from "./http-reading.ts";
import { RESPONSE_CASES } from "./http-response-cases.ts";

const seed = Number(process.env["GRAYLANE_FUZZ_SEED"] ?? Date.now() % 0x7fff_ffff);
const numRuns = Number(process.env["GRAYLANE_FUZZ_RUNS"] ?? 3_000);
const options = { seed, numRuns, includeErrorInReport: true };
/** No input of up to 64 KiB may take longer (of the processor, not of the wall). */
const SLOW_MS = 50;

before(() => {
  console.log(`# replay with GRAYLANE_FUZZ_SEED=${seed} GRAYLANE_FUZZ_RUNS=${numRuns}`);
});

const latin1 = (codes: readonly number[]): fc.Arbitrary<string> =>
  fc.constantFrom(...codes.map((code) => String.fromCharCode(code)));
const codesWhere = (test: (char: string) => boolean): number[] =>
  Array.from({ length: 256 }, (_unused, code) => code).filter((code) =>
    test(String.fromCharCode(code)),
  );
const text = (codes: number[], minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: latin1(codes), minLength, maxLength });

const methods = text(codesWhere(isMethod), 1, 10).filter((method) => method !== "CONNECT");
const targets = text(codesWhere(isTarget), 0, 40).map((rest) => `/${rest}`);
const names = text(codesWhere(isFieldName), 1, 20).map((name) => `x-${name}`);
const values = text([9, 32, ...codesWhere(isFieldValue)], 0, 40).filter(isFieldValue);
const fields = fc.array(fc.tuple(names, values), { maxLength: 12 });
const blanks = fc.string({ unit: fc.constantFrom(" ", "\t"), maxLength: 3 });
const payloads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 5 });
const cutPoints = fc.array(fc.nat(), { maxLength: 6 });

type Body =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly data: string }
  | { readonly kind: "chunked"; readonly chunks: string[]; readonly trailers: [string, string][] };

const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const bodies: fc.Arbitrary<Body> = fc.oneof(
  fc.constant({ kind: "none" } as const),
  payloads.map((list) => ({ kind: "length", data: list.map(asText).join("") }) as const),
  fc
    .tuple(payloads, fc.array(fc.tuple(names, values), { maxLength: 3 }))
    .map(([list, trailers]) => ({ kind: "chunked", chunks: list.map(asText), trailers }) as const),
);

function payloadOf(body: Body): string {
  if (body.kind === "none") return "";
  return body.kind === "length" ? body.data : body.chunks.join("");
}

function framingOf(body: Body): string {
  if (body.kind === "none") return "";
  if (body.kind === "length") return `Content-Length: ${body.data.length}\r\n`;
  return "Transfer-Encoding: chunked\r\n";
}

function encode(body: Body): string {
  if (body.kind === "none") return "";
  if (body.kind === "length") return body.data;
  const data = body.chunks.map((chunk) => chunkHeader(chunk.length) + chunk + CHUNK_END).join("");
  return data + serializeTrailers(headersOf(body.trailers));
}

function headersOf(pairs: readonly (readonly [string, string])[]): Headers {
  const headers = new Headers();
  for (const [name, value] of pairs) headers.add(name.toLowerCase(), value);
  return headers;
}

function pairsOf(headers: Headers | null): [string, string][] {
  if (headers === null) return [];
  return headers.names.map((name, index) => [name, headers.values[index]!]);
}

function cutAt(raw: string, points: readonly number[]): Buffer[] {
  const bytes = Buffer.from(raw, "latin1");
  const cuts = points
    .map((point) => point % (bytes.length + 1))
    .sort((left, right) => left - right);
  return split(bytes, cuts);
}

test("a generated request reads back as it was made, however it is cut", () => {
  const property = fc.property(
    fc.record({ method: methods, target: targets, fields, blank: blanks, body: bodies, cutPoints }),
    ({ method, target, fields, blank, body, cutPoints }) => {
      const lines = fields.map(([name, value]) => `${name}:${blank}${value}${blank}\r\n`).join("");
      const head = `${method} ${target} HTTP/1.1\r\nHost: a.test\r\n${framingOf(body)}${lines}\r\n`;
      const outcome = readRequests(cutAt(head + encode(body), cutPoints));
      assert.equal(outcome.fault, null);
      assert.equal(outcome.messages.length, 1);
      const [message] = outcome.messages as [ReadMessage];
      const parsed = message.head as RequestHead;
      assert.equal(parsed.method, method);
      assert.equal(parsed.target, target);
      assert.equal(message.body, payloadOf(body));
      const framed = new Set(["host", "content-length", "transfer-encoding"]);
      const rest = pairsOf(parsed.headers).filter(([name]) => !framed.has(name));
      assert.deepEqual(rest, pairsOf(headersOf(fields)));
      const trailers = body.kind === "chunked" ? pairsOf(headersOf(body.trailers)) : [];
      assert.deepEqual(pairsOf(message.trailers), trailers);
    },
  );
  fc.assert(property, options);
});

const SPICE = [
  ..."\r\n|\n|\r|\0| |\t|:|,|;|chunked|0\r\n\r\n|\r\n\r\n|Host: b\r\n|Content-Length: 1\r\n".split(
    "|",
  ),
  ..."Transfer-Encoding: chunked\r\n|GET / HTTP/1.1\r\n|HTTP/1.1 200 OK\r\n|\xff|\xa0|#|@|[|%".split(
    "|",
  ),
];

/** One edit: a place, what to do there, and how many bytes it takes away. */
const edits = fc.array(
  fc.record({ place: fc.nat(), dropped: fc.nat({ max: 4 }), spice: fc.constantFrom("", ...SPICE) }),
  { minLength: 1, maxLength: 4 },
);

function mutate(
  raw: string,
  list: readonly { place: number; dropped: number; spice: string }[],
): string {
  return list.reduce((current, { place, dropped, spice }) => {
    const start = place % (current.length + 1);
    return current.slice(0, start) + spice + current.slice(start + dropped);
  }, raw);
}

function seedsOf(
  cases: readonly { raw: string; method?: string }[],
): { raw: string; method: string }[] {
  return cases
    .filter(({ raw }) => raw.length < 2_000)
    .map(({ raw, method }) => ({ raw, method: method ?? "GET" }));
}

function checkLimits(outcome: Outcome): void {
  for (const { head, trailers } of outcome.messages) {
    assert.ok(head.headers.size <= FIELD_COUNT_MAX);
    assert.ok((trailers?.size ?? 0) <= FIELD_COUNT_MAX);
    assert.equal(head.headers.names.length, head.headers.values.length);
    for (const headers of [head.headers, trailers]) {
      assert.ok(
        pairsOf(headers).every(([name, value]) => isFieldName(name) && isFieldValue(value)),
      );
    }
  }
}

/** Writes an accepted message as the gateway would, and reads it again. */
function rewrite(message: ReadMessage): string {
  const head = message.head;
  const headers = headersOf(pairsOf(head.headers));
  removeHopByHop(headers);
  const isChunked = head.body === "chunked" && message.body !== "";
  if (head.body === "chunked") headers.add("transfer-encoding", "chunked");
  const start =
    "method" in head
      ? serializeRequestHead(head.method, head.target, headers)
      : serializeResponseHead(head.status, head.reason, headers);
  if (head.body !== "chunked") return start + message.body;
  const data = isChunked ? chunkHeader(message.body.length) + message.body + CHUNK_END : "";
  const end = message.trailers === null ? LAST_CHUNK : serializeTrailers(message.trailers);
  return start + data + end;
}

function checkRewritten(message: ReadMessage, again: Outcome): void {
  assert.equal(again.fault, null);
  assert.equal(again.messages.length, 1, "one message stays one message");
  const [copy] = again.messages as [ReadMessage];
  assert.equal(copy.body, message.body);
  assert.deepEqual(pairsOf(copy.trailers), pairsOf(message.trailers));
  const headers = headersOf(pairsOf(copy.head.headers));
  removeHopByHop(headers);
  const want = headersOf(pairsOf(message.head.headers));
  removeHopByHop(want);
  assert.deepEqual(headers, want);
}

function cpuMs(raw: string): number {
  const start = process.cpuUsage();
  readRequests(cutAt(raw, []));
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

test("a mutated request never throws, and what is accepted reads the same when written", () => {
  const property = fc.property(
    fc.constantFrom(...seedsOf(REQUEST_CASES)),
    edits,
    cutPoints,
    ({ raw }, list, points) => {
      const mutated = mutate(raw, list);
      const outcome = readRequests(cutAt(mutated, []));
      // Twice: a pause of the machine is not the codec's.
      assert.ok(cpuMs(mutated) < SLOW_MS || cpuMs(mutated) < SLOW_MS, "it took too long");
      assert.deepEqual(readRequests(cutAt(mutated, points)), outcome);
      checkLimits(outcome);
      for (const message of outcome.messages.filter((one) => one.hasEnded)) {
        const head = message.head as RequestHead;
        if (head.authority === "") continue; // HTTP/1.0 without Host: not forwarded as it is.
        const again = readRequests(cutAt(rewrite(message), points));
        checkRewritten(message, again);
        assert.equal((again.messages[0]!.head as RequestHead).authority, head.authority);
      }
    },
  );
  fc.assert(property, options);
});

test("a mutated response never throws, and what is accepted reads the same when written", () => {
  const property = fc.property(
    fc.constantFrom(...seedsOf(RESPONSE_CASES)),
    edits,
    cutPoints,
    ({ raw, method }, list, points) => {
      const mutated = mutate(raw, list);
      const outcome = readResponse(cutAt(mutated, []), method);
      assert.deepEqual(readResponse(cutAt(mutated, points), method), outcome);
      checkLimits(outcome);
      const [message] = outcome.messages;
      if (message?.hasEnded !== true || message.head.body === "close") return;
      checkRewritten(message, readResponse(cutAt(rewrite(message), points), method));
      assert.equal((message.head as ResponseHead).status >= 101, true);
    },
  );
  fc.assert(property, options);
});

test("random bytes never throw and read the same however they are cut", () => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  const property = fc.property(bytes, cutPoints, (input, points) => {
    for (const raw of [
      asText(input),
      `GET / HTTP/1.1\r\n${asText(input)}`,
      `HTTP/1.1 2${asText(input)}`,
    ]) {
      for (const read of [readRequests, readResponse]) {
        assert.deepEqual(read(cutAt(raw, points)), read(cutAt(raw, [])));
      }
    }
  });
  fc.assert(property, { ...options, numRuns: Math.ceil(numRuns / 3) });
});

test("chunk extensions are bounded over the whole message", () => {
  const chunk = `1;a=${"b".repeat(400)}\r\nx\r\n`;
  const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const outcome = readRequests([Buffer.from(head + chunk.repeat(50))]);
  assert.equal(outcome.fault, "chunk_extensions_too_large");
});

test("hostile input in single bytes costs time in proportion to its size", () => {
  const inputs = [
    `GET / HTTP/1.1\r\nX: ${"a".repeat(HEAD_BYTES_MAX - 100)}`,
    `GET /${"a".repeat(TARGET_BYTES_MAX)}`,
    `GET / HTTP/1.1\r\n${"\x00".repeat(HEAD_BYTES_MAX - 100)}`,
    `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(FIELD_COUNT_MAX)}`,
  ];
  for (const raw of inputs) {
    const start = performance.now();
    readRequests(
      split(
        Buffer.from(raw),
        Array.from({ length: raw.length - 1 }, (_u, i) => i + 1),
      ),
    );
    assert.ok(performance.now() - start < 1_000, "65,536 calls, each of constant cost");
  }
});
