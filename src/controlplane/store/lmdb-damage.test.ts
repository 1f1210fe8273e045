//! Bits of the file are flipped and the file is cut, many times: a store that is opened then serves
//! what was written, or says what is damaged. The long run: `GRAYLANE_DAMAGES=1000`.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import type { DamageReport } from "./damage-reader.ts";
import { openStore } from "./open-store.ts";
import { accepted, configMap } from "./store-cases.ts";

const DAMAGES = Number(process.env["GRAYLANE_DAMAGES"] ?? 60);
const READER = new URL(`./damage-reader${extname(import.meta.filename)}`, import.meta.url);
const OBJECTS = 200;
const PAGE_BYTES = 4_096;
/** Of a page's head, with the first of its pointers. */
const HEAD_BYTES = 48;
const BITS = 8;
/** Seeds next to each other begin alike. */
const SEED_STEP = 0x9e3779b1;
const root = mkdtempSync(join(tmpdir(), "graylane-damage-"));
let reader: ChildProcess | null = null;

after(() => {
  reader?.kill();
  rmSync(root, { recursive: true, force: true });
});

/** Small and large objects, some written twice, so that there are pages that are free. */
async function written(directory: string): Promise<Record<string, string>> {
  const store = openStore({ directory, clock: systemClock });
  const values: Record<string, string> = {};
  for (let at = 0; at < OBJECTS; at += 1) {
    accepted(await store.create(configMap(`w${at}`, "first")));
    values[`w${at}`] = `${at} `.repeat(1 + at * (at % 3) * 5);
    accepted(await store.update(configMap(`w${at}`, values[`w${at}`])));
  }
  await store.close();
  return values;
}

const DAMAGES_BY_KIND: Readonly<Record<string, (bytes: Buffer, prng: SeededPrng) => Buffer>> = {
  "one bit anywhere": (bytes, prng) => flip(bytes, prng.below(bytes.length), prng),
  "one bit in the head of a page": (bytes, prng) => {
    const page = prng.below(bytes.length / PAGE_BYTES);
    return flip(bytes, page * PAGE_BYTES + prng.below(HEAD_BYTES), prng);
  },
  "one bit in a header of the file": (bytes, prng) => {
    return flip(bytes, prng.below(2) * PAGE_BYTES + prng.below(160), prng);
  },
  "sixteen bits anywhere": (bytes, prng) => {
    for (let count = 0; count < 16; count += 1) flip(bytes, prng.below(bytes.length), prng);
    return bytes;
  },
  "a page of zeros": (bytes, prng) => {
    const at = prng.below(bytes.length / PAGE_BYTES) * PAGE_BYTES;
    return bytes.fill(0, at, at + PAGE_BYTES);
  },
  "cut anywhere": (bytes, prng) => bytes.subarray(0, 1 + prng.below(bytes.length - 1)),
};

function flip(bytes: Buffer, at: number, prng: SeededPrng): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << prng.below(BITS)), at);
  return bytes;
}

/** Null: it ended the process. */
function look(directory: string, values: Record<string, string>): Promise<DamageReport | null> {
  const child = (reader ??= fork(READER, { stdio: "ignore" }));
  return new Promise((resolve) => {
    const done = (report: DamageReport | null): void => {
      child.removeAllListeners();
      if (report === null) reader = null;
      resolve(report);
    };
    child.on("message", (report: DamageReport) => {
      done(report);
    });
    child.on("exit", () => {
      done(null);
    });
    child.send({ directory, values });
  });
}

function verdictOf(report: DamageReport | null): string {
  if (report === null) return "crashed";
  if (report.refused !== "") return "refused in words";
  if (report.wrong.length > 0) return "served wrongly";
  if (report.missing.length === 0) return "served whole";
  return report.damaged > 0 ? "damage reported" : "lost in silence";
}

const CLAIM = `no damage of the file is served or passed over in silence, ${DAMAGES} times`;

test(CLAIM, async (context) => {
  const good = join(root, "good");
  const values = await written(good);
  const bytes = readFileSync(join(good, "store", "data.mdb"));
  const tally: Record<string, number> = {};
  const bad: string[] = [];
  const kinds = Object.entries(DAMAGES_BY_KIND);
  for (let seed = 0; seed < DAMAGES; seed += 1) {
    const [kind, damage] = kinds[seed % kinds.length] ?? [];
    if (kind === undefined || damage === undefined) continue;
    const directory = join(root, String(seed));
    mkdirSync(join(directory, "store"), { recursive: true });
    const hurt = damage(Buffer.from(bytes), new SeededPrng(seed * SEED_STEP));
    writeFileSync(join(directory, "store", "data.mdb"), hurt);
    const verdict = verdictOf(await look(directory, values));
    tally[verdict] = (tally[verdict] ?? 0) + 1;
    if (!["refused in words", "served whole", "damage reported"].includes(verdict)) {
      bad.push(`${kind}, seed ${seed}: ${verdict}`);
    }
    rmSync(directory, { recursive: true, force: true });
  }
  context.diagnostic(JSON.stringify(tally));
  assert.deepEqual(bad, []);
});
