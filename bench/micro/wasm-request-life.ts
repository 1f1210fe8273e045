//! Nanoseconds of one request's life in the hash-tagging plug-in: context create, request headers
//! (one get, one replace), log, done, delete; with and without fuel in the code.
//!
//!   npx tsx bench/micro/wasm-request-life.ts
//!
//! Processor time, in short blocks in turn: a busy machine's speed changes by the second, and the
//! ratio within a round says more than two figures.

import { MapKind, Status } from "../../src/wasm/enums.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { StreamMapKind } from "../../src/wasm/enums.ts";
import type { HeaderMap, StreamHost } from "../../src/wasm/stream-host.ts";
import { startPlugin, testServices } from "../../test/support/plugin.ts";
import { figureOf, medianBounds } from "../end-to-end/figures.ts";

const ROUNDS = 100;
const WARM_UP_ROUNDS = 10;
const LIVES_PER_BLOCK = 20_000;
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

  setProperty(): Status {
    return Status.ok;
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

type Run = (lives: number) => void;

async function start(fuel: boolean): Promise<Plugin> {
  const started = await startPlugin("hash-tagging", configuration, testServices(), { fuel });
  if (!(started instanceof Plugin)) throw new Error(started.message);
  return started;
}

function livesOf(plugin: Plugin, explaining: boolean): Run {
  const headers = Array.from({ length: USERS }, (_, index) => new BenchHeaders(`user-${index}`));
  return (lives) => {
    for (let life = 0; life < lives; life++) {
      const host = new BenchHost(headers[life % USERS] as BenchHeaders, explaining);
      const stream = plugin.createStream(host);
      if (stream?.onRequestHeaders(true) !== 0) throw new Error("the plug-in did not continue");
      stream.finish();
    }
  };
}

/** Nanoseconds of processor time per life of each round: the runs take turns, there and back. */
function measure(runs: readonly Run[], lives: number): readonly (readonly number[])[] {
  const figures = runs.map((): number[] => []);
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    const turn = round % 2 === 0 ? [...runs.keys()] : [...runs.keys()].reverse();
    for (const at of turn) {
      const before = process.cpuUsage();
      runs[at]?.(lives);
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) figures[at]?.push(((user + system) * 1000) / lives);
    }
  }
  return figures;
}

function report(name: string, of: readonly number[], against: readonly number[] | null): void {
  const { median } = figureOf(of);
  const ratio = against === null ? "" : `; ${ratioTo(of, against)} of that without`;
  console.log(
    `${name}: median ${median.toFixed(0)} ns, best ${Math.min(...of).toFixed(0)}${ratio}`,
  );
}

function ratioTo(of: readonly number[], against: readonly number[]): string {
  const ratios = of.map((value, round) => value / (against[round] ?? NaN));
  const [low, high] = medianBounds(ratios).map((value) => value.toFixed(3));
  return `${figureOf(ratios).median.toFixed(3)} (${low}-${high})`;
}

const plugin = await start(true);
const [fueled = [], unfueled = []] = measure(
  [livesOf(plugin, false), livesOf(await start(false), false)],
  LIVES_PER_BLOCK,
);
report("request life", fueled, unfueled);
report("request life, without fuel", unfueled, null);
const [explained = []] = measure([livesOf(plugin, true)], LIVES_PER_BLOCK / 20);
report("request life, explained", explained, null);
