//! Nanoseconds to parse, to strip and to serialise one small request. Run: npx tsx FILE [seconds]

import { removeHopByHop } from "../../src/http/hop-by-hop.ts";
import { RequestParser, type RequestHead } from "../../src/http/request-parser.ts";
import { ResponseParser } from "../../src/http/response-parser.ts";
import { serializeRequestHead } from "../../src/http/serialize.ts";

const REQUEST = Buffer.from(
  "GET /api/orders/17?verbose=true HTTP/1.1\r\n" +
    "Host: shop.example.com\r\n" +
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0\r\n" +
    "Accept: */*\r\n" +
    "Accept-Encoding: gzip, deflate\r\n" +
    "Connection: keep-alive\r\n" +
    "X-User-Id: jack\r\n\r\n",
);
const RESPONSE = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n" +
    "date: Sat, 21 Nov 2026 08:00:00 GMT\r\nserver: sample\r\n\r\nhello, world",
);
const ROUNDS = 100_000;

let head: RequestHead | null = null;
let sink = 0;
const requests = new RequestParser({
  onRequestHead(value) {
    head = value;
  },
  onRequestBody() {
    sink++;
  },
  onRequestEnd() {
    sink++;
  },
});
const responses = new ResponseParser({
  onInformational() {
    sink++;
  },
  onResponseHead(value) {
    sink += value.status;
  },
  onResponseBody(chunk) {
    sink += chunk.length;
  },
  onResponseEnd() {
    sink++;
  },
});

function parseRequest(): void {
  requests.execute(REQUEST);
  requests.next();
}

function forwardRequest(): void {
  parseRequest();
  const parsed = head as unknown as RequestHead;
  removeHopByHop(parsed.headers);
  sink += serializeRequestHead(parsed.method, parsed.target, parsed.headers).length;
}

function parseResponse(): void {
  responses.expect("GET");
  responses.execute(RESPONSE);
}

function measure(name: string, run: () => void): void {
  const samples: number[] = [];
  for (let sample = 0; sample < 11; sample++) {
    const start = process.hrtime.bigint();
    for (let round = 0; round < ROUNDS; round++) run();
    samples.push(Number(process.hrtime.bigint() - start) / ROUNDS);
  }
  samples.sort((left, right) => left - right);
  const [best = 0, median = 0] = [samples[0], samples[5]];
  console.log(`${name}: ${median.toFixed(0)} ns (best ${best.toFixed(0)} ns)`);
}

measure(`parse request, 6 fields, ${REQUEST.length} bytes`, parseRequest);
measure("parse, strip hop-by-hop, serialise", forwardRequest);
measure(`parse response, 4 fields, ${RESPONSE.length} bytes`, parseResponse);
console.log(`(${sink})`);
