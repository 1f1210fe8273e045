//! Puts fuel into a module, so that no loop and no recursion runs without end, and caps on how far
//! its memory and tables may grow. Everything new stands at the end of its section, so no index of
//! the original changes its meaning.
//!
//! A counter (a mutable global) is taken down at every function's entry and every loop's header.
//! Below zero the guest calls `slow`, which asks the host through a table of one entry that only
//! the host can fill; an answer of 0 is `unreachable`. A trap cannot be caught by the guest, and
//! the host never throws here: a `catch_all` of the guest could swallow what it throws.

import { nextTurn } from "../../base/steps.ts";
import { Refusal, positive, unsigned, unsignedLength } from "./byte-reader.ts";
import type { ByteReader } from "./byte-reader.ts";
import { ByteReader as Reader } from "./byte-reader.ts";
import { Charge, findPlaces } from "./function-body.ts";
import type { Place } from "./function-body.ts";
import { Layout, Section, SECTION_ORDER } from "./layout.ts";
import type { FunctionType, Limits } from "./layout.ts";

/** Exports that the host uses; a module that has one of them is refused. */
export const FUEL_TABLE = "graylane_fuel_table";
export const FUEL_STOP = "graylane_fuel_stop";
/** The start section's function: run by the host, when it has filled the table. */
export const START_EXPORT = "graylane_start";

/** One `memory.fill` or `copy` of more bytes traps: it could not be stopped half way. */
const BULK_BYTES_MAX = 64 * 1024 * 1024;
/** So many bytes of a bulk instruction cost a unit. */
const BULK_BYTES_PER_UNIT_LOG2 = 8;
/** A table's entry is worth so many bytes (2^6). */
const BYTES_PER_ENTRY_LOG2 = 6;
const TABLE_ENTRIES_MAX = 1_000_000;
const TABLE_GROWTH_MAX = 10_000;
const FUNCTIONS_MAX = 200_000;
/**
 * Of all code, as it is compiled: that bounds the time of it. A real plug-in in Go of 5.9 MB is 2 %
 * larger with fuel; code that does nothing but begin loops five times. So much of the latter takes
 * 1.4 s of processor time; without the limit 60 MB took 15 s and 2.5 GiB.
 */
const CODE_BYTES_MAX = 32 * 1024 * 1024;
/**
 * Of one function, as it is compiled: each of V8's threads takes some 20 times as much memory for
 * the one that it compiles, and a function is given fuel in one turn. The largest found in real
 * modules has 200 kB (the compiler esbuild, in Go); Ruby has one of 100 kB, Higress' SDK of 46.
 */
const BODY_BYTES_MAX = 512 * 1024;
/**
 * Of memory that compiling all of it is estimated to take. Modules of Go are estimated at 14 for
 * each megabyte, Ruby (16 MB) at 330, and really take about half. Of patterns that were made to
 * take much the worst took a tenth more than estimated.
 */
const COMPILE_BYTES_MAX = 448 * 1024 * 1024;
const MEMORY_PAGES_MAX = 65_536;
const PAGE_BYTES = 65_536;
const LOOP_COPY_MAX = 200;
/** The event loop gets its turn after so many bytes of code. */
const BYTES_PER_TURN = 64 * 1024;

export interface FuelOptions {
  /** How far the memory may grow beyond its initial size. */
  readonly memoryGrowthBytesMax: number;
}

/** Returns the module with fuel, or why it cannot have it. `bytes` must be valid. */
export async function addFuel(
  bytes: Uint8Array,
  options: FuelOptions,
): Promise<Uint8Array | Refusal> {
  try {
    const layout = new Layout(bytes);
    await nextTurn();
    return await new Rewriter(layout, options).run();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

class Rewriter {
  readonly #layout: Layout;
  readonly #options: FuelOptions;
  readonly #types: { readonly ask: number; readonly plain: number; readonly oneNumber: number };
  readonly #fuel: number;
  readonly #table: number;
  /** slow, stop, bulk. */
  readonly #firstFunction: number;
  #compileBytes = 0;
  readonly #charges = new Map<number, Uint8Array>();

  constructor(layout: Layout, options: FuelOptions) {
    this.#layout = layout;
    this.#options = options;
    const { types, functionCount } = layout;
    const { length } = types;
    this.#types = { ask: length, plain: length + 1, oneNumber: length + 2 };
    this.#fuel = layout.importedGlobalCount + layout.open(Section.global).count;
    this.#table = layout.importedTableCount + layout.tables.length;
    this.#firstFunction = functionCount;
  }

  async run(): Promise<Uint8Array> {
    const layout = this.#layout;
    if (layout.functionCount > FUNCTIONS_MAX) {
      throw new Refusal(`${layout.functionCount} functions are more than ${FUNCTIONS_MAX}`);
    }
    for (const name of [FUEL_TABLE, FUEL_STOP, START_EXPORT]) {
      if (layout.exportNames.has(name)) throw new Refusal(`the export ${name} is the host's own`);
    }
    const parts: Uint8Array[] = [layout.bytes.subarray(0, 8), ...(layout.customs.get(0) ?? [])];
    for (const id of SECTION_ORDER) {
      const content = await this.#section(id);
      if (content !== null) {
        const length = content.reduce((sum, part) => sum + part.length, 0);
        parts.push(Uint8Array.of(id, ...unsigned(length)), ...content);
      }
      parts.push(...(layout.customs.get(id) ?? []));
    }
    await nextTurn();
    return Buffer.concat(parts);
  }

  async #section(id: number): Promise<Uint8Array[] | null> {
    switch (id) {
      case Section.type:
        return this.#append(id, [
          [0x60, 0, 1, 0x7f],
          [0x60, 0, 0],
          [0x60, 1, 0x7f, 0],
        ]);
      case Section.function: {
        const { plain, oneNumber } = this.#types;
        return this.#append(id, [unsigned(plain), unsigned(plain), unsigned(oneNumber)]);
      }
      case Section.table:
        return this.#tables();
      case Section.memory:
        return this.#memories();
      case Section.global:
        // (global (mut i32) (i32.const 0)): the first charge asks the host.
        return this.#append(id, [[0x7f, 1, 0x41, 0, 0x0b]]);
      case Section.export:
        return this.#exports();
      case Section.start:
        return null;
      case Section.code:
        return this.#code();
      default: {
        const span = this.#layout.sections.get(id);
        return span === undefined ? null : [this.#layout.bytes.subarray(span.start, span.end)];
      }
    }
  }

  #append(id: number, entries: readonly (readonly number[])[]): Uint8Array[] {
    const { count, reader } = this.#layout.open(id);
    return [
      Uint8Array.from(unsigned(count + entries.length)),
      reader.bytes.subarray(reader.at, reader.end),
      Uint8Array.from(entries.flat()),
    ];
  }

  #tables(): Uint8Array[] {
    const { tables } = this.#layout;
    const entries = tables.map(({ type, limits }) => {
      if (limits.min > TABLE_ENTRIES_MAX) {
        throw new Refusal(`a table of ${limits.min} entries is larger than ${TABLE_ENTRIES_MAX}`);
      }
      return Uint8Array.of(...type, ...limitsOf(limits, limits.min + TABLE_GROWTH_MAX));
    });
    const own = Uint8Array.of(0x70, 1, 1, 1);
    return [Uint8Array.from(unsigned(tables.length + 1)), ...entries, own];
  }

  #memories(): Uint8Array[] | null {
    const { memories } = this.#layout;
    if (memories.length === 0) return null;
    const growthPages = Math.floor(
      this.#options.memoryGrowthBytesMax / PAGE_BYTES / memories.length,
    );
    const entries = memories.map((limits) => {
      const pages = Math.min(MEMORY_PAGES_MAX, limits.min + growthPages);
      return Uint8Array.from(limitsOf(limits, pages));
    });
    return [Uint8Array.from(unsigned(memories.length)), ...entries];
  }

  #exports(): Uint8Array[] {
    const named = (name: string, kind: number, index: number): number[] => {
      const text = Buffer.from(name);
      return [...unsigned(text.length), ...text, kind, ...unsigned(index)];
    };
    const entries = [
      named(FUEL_TABLE, 1, this.#table),
      named(FUEL_STOP, 0, this.#firstFunction + 1),
    ];
    const { startFunction } = this.#layout;
    if (startFunction !== null) entries.push(named(START_EXPORT, 0, startFunction));
    return this.#append(Section.export, entries);
  }

  async #code(): Promise<Uint8Array[]> {
    const { importedFunctionCount, functionCount } = this.#layout;
    const { count, reader } = this.#layout.open(Section.code);
    if (count !== functionCount - importedFunctionCount)
      throw new Refusal("functions and code do not agree");
    const parts: Uint8Array[] = [Uint8Array.from(unsigned(count + 3))];
    let bytesInTurn = 0;
    let bytesOut = 0;
    for (let index = 0; index < count; index++) {
      const length = reader.u32();
      const start = reader.at;
      reader.skip(length);
      const body = new Reader(reader.bytes, start, reader.at);
      const rewritten = this.#body(body, importedFunctionCount + index);
      parts.push(rewritten);
      bytesOut += rewritten.length;
      if (bytesOut > CODE_BYTES_MAX) {
        const what = "its code with a counter in each function and loop";
        throw new Refusal(`${what} is larger than ${CODE_BYTES_MAX} bytes`);
      }
      bytesInTurn += length;
      if (bytesInTurn > BYTES_PER_TURN) {
        bytesInTurn = 0;
        await nextTurn();
      }
    }
    parts.push(this.#slowBody(), this.#stopBody(), this.#bulkBody());
    return parts;
  }

  #charge(compileBytes: number): void {
    this.#compileBytes += compileBytes;
    if (this.#compileBytes <= COMPILE_BYTES_MAX) return;
    const mebibytes = COMPILE_BYTES_MAX / 1024 / 1024;
    throw new Refusal(`to compile it would take more than about ${mebibytes} MiB of memory`);
  }

  #checkLength(index: number, length: number): void {
    if (length <= BODY_BYTES_MAX) return;
    const what = `function ${index} has ${length} bytes with a counter in it and its loops`;
    throw new Refusal(`${what}, more than ${BODY_BYTES_MAX}`);
  }

  /** One function's code with its length before it. */
  #body(body: ByteReader, index: number): Uint8Array {
    const { bytes } = body;
    const start = body.at;
    this.#checkLength(index, body.end - start);
    const groupCount = body.u32();
    const groupsAt = body.at;
    let localCount = 0;
    for (let left = groupCount; left > 0; left--) {
      localCount += body.u32();
      body.skipValueType();
    }
    const codeAt = body.at;
    const local = (this.#layout.functionTypes[index] as FunctionType).parameters + localCount;
    const { places, compileBytes } = findPlaces(body, this.#layout, local);
    this.#charge(compileBytes);
    const needsLocal = places.some(({ charge }) => charge >= Charge.bytes);
    const head = needsLocal
      ? Buffer.concat([
          Uint8Array.from(unsigned(groupCount + 1)),
          bytes.subarray(groupsAt, codeAt),
          Uint8Array.of(1, 0x7f),
        ])
      : bytes.subarray(start, codeAt);
    const inserted = places.map((place) => this.#instructions(place, local));
    let length = head.length + body.end - codeAt;
    for (const instructions of inserted) length += instructions.length;
    this.#checkLength(index, length);
    return assemble({ head, bytes, codeAt, end: body.end, places, inserted, length });
  }

  #instructions({ charge, units }: Place, local: number): Uint8Array {
    if (charge >= Charge.bytes) {
      const { oneNumber } = FUNCTION;
      const call = [0x10, ...unsigned(this.#firstFunction + oneNumber)];
      const scale = charge === Charge.entries ? [0x41, BYTES_PER_ENTRY_LOG2, 0x74] : [];
      const index = unsigned(local);
      return Uint8Array.of(0x22, ...index, 0x20, ...index, ...scale, ...call);
    }
    const key = units * 2 + charge;
    const known = this.#charges.get(key);
    if (known !== undefined) return known;
    const take = this.#take(positive(units));
    const made = Uint8Array.from(charge === Charge.plain ? take : [...take, ...this.#ask()]);
    this.#charges.set(key, made);
    return made;
  }

  /** fuel = fuel - units */
  #take(units: readonly number[]): number[] {
    const fuel = unsigned(this.#fuel);
    return [0x23, ...fuel, 0x41, ...units, 0x6b, 0x24, ...fuel];
  }

  /** if (fuel < 0) slow() */
  #ask(): number[] {
    const slow = unsigned(this.#firstFunction + FUNCTION.slow);
    return [0x23, ...unsigned(this.#fuel), 0x41, 0, 0x48, 0x04, 0x40, 0x10, ...slow, 0x0b];
  }

  /** (local $units i32) units = table[0](); if (units <= 0) unreachable; fuel = units */
  #slowBody(): Uint8Array {
    const call = [0x41, 0, 0x11, ...unsigned(this.#types.ask), ...unsigned(this.#table)];
    const check = [0x22, 0, 0x41, 0, 0x4c, 0x04, 0x40, 0x00, 0x0b];
    const refill = [0x20, 0, 0x24, ...unsigned(this.#fuel)];
    return sized([1, 1, 0x7f, ...call, ...check, ...refill, 0x0b]);
  }

  /** fuel = 0: the next charge asks the host. */
  #stopBody(): Uint8Array {
    return sized([0, 0x41, 0, 0x24, ...unsigned(this.#fuel), 0x0b]);
  }

  /** (param $bytes i32) if (bytes > max) unreachable; fuel = fuel - (bytes >>> k); ask */
  #bulkBody(): Uint8Array {
    const fuel = unsigned(this.#fuel);
    const check = [0x20, 0, 0x41, ...positive(BULK_BYTES_MAX), 0x4b, 0x04, 0x40, 0x00, 0x0b];
    const units = [0x20, 0, 0x41, BULK_BYTES_PER_UNIT_LOG2, 0x76];
    const take = [0x23, ...fuel, ...units, 0x6b, 0x24, ...fuel];
    return sized([0, ...check, ...take, ...this.#ask(), 0x0b]);
  }
}

/** The functions put in, by their place after the module's own. */
const FUNCTION = { slow: 0, stop: 1, oneNumber: 2 } as const;

function limitsOf({ min, max }: Limits, cap: number): number[] {
  return [1, ...unsigned(min), ...unsigned(Math.max(min, Math.min(max ?? cap, cap)))];
}

function sized(body: readonly number[]): Uint8Array {
  return Uint8Array.of(...unsigned(body.length), ...body);
}

function assemble(parts: {
  readonly head: Uint8Array;
  readonly bytes: Uint8Array;
  readonly codeAt: number;
  readonly end: number;
  readonly places: readonly Place[];
  readonly inserted: readonly Uint8Array[];
  readonly length: number;
}): Uint8Array {
  const { head, bytes, codeAt, end, places, inserted, length } = parts;
  const out = new Uint8Array(unsignedLength(length) + length);
  out.set(unsigned(length));
  let to = copy(head, { from: 0, end: head.length }, out, unsignedLength(length));
  let from = codeAt;
  for (let index = 0; index < places.length; index++) {
    const { at } = places[index] as Place;
    to = copy(bytes, { from, end: at }, out, to);
    const piece = inserted[index] as Uint8Array;
    to = copy(piece, { from: 0, end: piece.length }, out, to);
    from = at;
  }
  copy(bytes, { from, end }, out, to);
  return out;
}

/** Most pieces are short, and a loop is faster than a view of each. Returns where `out` ends. */
function copy(
  source: Uint8Array,
  { from, end }: { readonly from: number; readonly end: number },
  out: Uint8Array,
  to: number,
): number {
  if (end - from > LOOP_COPY_MAX) out.set(source.subarray(from, end), to);
  else for (let at = from; at < end; at++) out[to + at - from] = source[at] as number;
  return to + end - from;
}
