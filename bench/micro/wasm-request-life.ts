//! Nanoseconds of one request's life in the hash-tagging plug-in: context create, request headers
//! (one get, one replace), log, done, delete; with and without fuel in the code.
//!
//!   npx tsx bench/micro/wasm-request-life.ts
//!
//! Processor time (so that a busy machine disturbs less): median, best and worst of several rounds.

import { MapKind } from "../../src/wasm/enums.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { StreamMapKind } from "../../src/wasm/enums.ts";
import type { HeaderMap, StreamHost } from "../../src/wasm/stream-host.ts";
import { startPlugin, testServices } from "../../test/support/plugin.ts";

const ROUNDS = 15;
const LIVES_PER_ROUND = 200_000;
const USERS = 1000;

/** The cheapest honest header list: two parallel arrays, as the data plane keeps them. */
class BenchHeaders implements HeaderMap {
  readonly names = [":authority", ":path", ":method", ":scheme", "user-agent", "accept"];
  readonly values = ["shop.example", "/", "GET", "http", "wrk", "*/*"];

  constructor(userId: string) {
    this.names.push("x-user-id", "x-asm-prefer-tag");
    this.values.push(userId, "none");
  }

  get size(): number {
    return this.names.length;
  }

  get(name: string): string | undefined {
    const index = this.names.indexOf(name);
    return index === -1 ? undefined : this.values[index];
  }

  set(name: string, value: string): void {
    this.values[this.names.indexOf(name)] = value;
  }

  add(): void {
    throw new Error("hash tagging adds nothing");
  }

  remove(): void {
    throw new Error("hash tagging removes nothing");
  }

  forEach(): void {
    throw new Error("hash tagging lists nothing");
  }

  replaceAll(): void {
    throw new Error("hash tagging replaces nothing");
  }
}

class BenchHost implements StreamHost {
  readonly #headers: HeaderMap;
  readonly explaining: boolean;
  clearCount = 0;

  constructor(headers: HeaderMap, explaining: boolean) {
    this.#headers = headers;
    this.explaining = explaining;
  }

  headerMap(kind: StreamMapKind): HeaderMap | null {
    return kind === MapKind.requestHeaders ? this.#headers : null;
  }

  createTrailers(): null {
    return null;
  }

  property(): Uint8Array | null {
    return null;
  }

  setProperty(): void {
    return;
  }

  clearRouteCache(): void {
    this.clearCount += 1;
  }

  sendLocalResponse(): void {
    return;
  }

  continueStream(): void {
    return;
  }

  closeStream(): void {
    return;
  }
}

const configuration = JSON.stringify({
  rules: [
    {
      header: "x-user-id",
      modulo: 100,
      tagHeader: "x-asm-prefer-tag",
      policies: [
        { range: 20, tagValue: "s2" },
        { range: 100, tagValue: "s1" },
      ],
    },
  ],
});

/** Nanoseconds of processor time per life of each round, sorted. */
function measure(plugin: Plugin, explaining: boolean, lives: number): number[] {
  const headers = Array.from({ length: USERS }, (_, index) => new BenchHeaders(`user-${index}`));
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let life = 0; life < lives; life++) {
      const host = new BenchHost(headers[life % USERS] as BenchHeaders, explaining);
      const stream = plugin.createStream(host);
      if (stream?.onRequestHeaders(true) !== 0) throw new Error("the plug-in did not continue");
      stream.finish();
    }
    const { user, system } = process.cpuUsage(before);
    rounds.push(((user + system) * 1000) / lives);
  }
  return rounds.sort((left, right) => left - right);
}

async function start(fuel: boolean): Promise<Plugin> {
  const started = await startPlugin("hash-tagging", configuration, testServices(), { fuel });
  if (!(started instanceof Plugin)) throw new Error(started.message);
  return started;
}

const plugin = await start(true);
for (const [name, explaining, lives, run] of [
  ["request life", false, LIVES_PER_ROUND, plugin],
  ["request life, without fuel", false, LIVES_PER_ROUND, await start(false)],
  ["request life, explained", true, LIVES_PER_ROUND / 20, plugin],
] as const) {
  const rounds = measure(run, explaining, lives);
  const [best = 0, median = 0, worst = 0] = [0, ROUNDS >> 1, ROUNDS - 1].map((at) => rounds[at]);
  const spread = `best ${best.toFixed(0)}, worst ${worst.toFixed(0)}`;
  console.log(`${name}: median ${median.toFixed(0)} ns, ${spread}`);
}
