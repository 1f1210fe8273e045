//! Finds the places in one function's code where fuel is charged: its entry, the header of each
//! loop, and before instructions whose work grows with an operand.

import type { ByteReader } from "./byte-reader.ts";
import { Refusal } from "./byte-reader.ts";
import { ATOMIC, ATOMIC_ACCESS, Bulk, FC_FORMS, Form, FORM_OF, SIMD_MAX } from "./opcodes.ts";
import type { PrefixedForm } from "./opcodes.ts";

/** What is put in at a place. */
export const Charge = {
  /** Takes units and stops to ask the host when none is left. */
  checked: 0,
  /** Takes units only: the next checked place asks. */
  plain: 1,
  /** Charges by the number on the stack: so many bytes. */
  bytes: 2,
  /** The same: so many table entries. */
  entries: 3,
} as const;
export type Charge = (typeof Charge)[keyof typeof Charge];

export interface Place {
  /** Offset in the file before which the charge goes. */
  readonly at: number;
  readonly charge: Charge;
  units: number;
}

/**
 * Straight-line code costs one unit for each 256 bytes of it, so that a long body cannot do much
 * between two looks at the clock.
 */
const CODE_BYTES_PER_UNIT_LOG2 = 8;
const THROW_UNITS = 500;
const MEMORY_GROW_UNITS = 1_000;
const TABLE_GROW_UNITS = 5_000;
/** V8's own limit of nesting is far below the length of a body; this only bounds our stack. */
const DEPTH_MAX = 100_000;

/** Lists the places of the code at `reader`, which stands behind the locals, in order. */
export function findPlaces(reader: ByteReader): Place[] {
  const scan = new Scan(reader);
  scan.run();
  return scan.places;
}

class Scan {
  readonly places: Place[] = [];
  readonly #reader: ByteReader;
  /** For each open block: the place of its loop header, or null. */
  readonly #blocks: (Place | null)[] = [];
  #isLeaf = true;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  run(): void {
    const reader = this.#reader;
    const length = reader.end - reader.at;
    const units = 1 + (length >> CODE_BYTES_PER_UNIT_LOG2);
    this.#add(reader.at, Charge.checked, units);
    this.#blocks.push(null);
    while (this.#blocks.length > 0) {
      reader.at = pastSimple(reader);
      const at = reader.at;
      this.#instruction(at, reader.byte());
    }
    if (!reader.isAtEnd) throw new Refusal(`code goes on after its end, at byte ${reader.at}`);
    // A short function without loops and calls ends by itself: whoever calls it is charged.
    if (this.#isLeaf && units === 1) this.places.shift();
  }

  // eslint-disable-next-line max-lines-per-function -- one case for each form of instruction
  #instruction(at: number, opcode: number): void {
    const reader = this.#reader;
    switch (FORM_OF[opcode] as Form) {
      case Form.none:
        return;
      case Form.block:
        reader.skipNumber(5);
        this.#open(null);
        return;
      case Form.loop:
        reader.skipNumber(5);
        this.#isLeaf = false;
        this.#open(this.#add(reader.at, Charge.checked, 1));
        return;
      case Form.end:
        this.#close(at);
        return;
      case Form.delegate:
        reader.u32();
        this.#close(at);
        return;
      case Form.index:
        reader.u32();
        return;
      case Form.index2:
        reader.u32();
        reader.u32();
        return;
      case Form.brTable:
        for (let left = reader.u32() + 1; left > 0; left--) reader.u32();
        return;
      case Form.memory:
        this.#memoryArgument();
        return;
      case Form.i32:
      case Form.heapType:
        reader.skipNumber(5);
        return;
      case Form.i64:
        reader.skipNumber(10);
        return;
      case Form.f32:
        reader.skip(4);
        return;
      case Form.f64:
        reader.skip(8);
        return;
      case Form.selectTypes:
        for (let left = reader.u32(); left > 0; left--) reader.skipValueType();
        return;
      case Form.tryTable:
        this.#tryTable();
        return;
      case Form.call:
        this.#isLeaf = false;
        reader.u32();
        return;
      case Form.callIndirect:
        this.#isLeaf = false;
        reader.u32();
        reader.u32();
        return;
      case Form.throw:
        this.#add(at, Charge.plain, THROW_UNITS);
        reader.u32();
        return;
      case Form.throwRef:
        this.#add(at, Charge.plain, THROW_UNITS);
        return;
      case Form.memoryGrow:
        this.#add(at, Charge.plain, MEMORY_GROW_UNITS);
        reader.u32();
        return;
      case Form.prefixFc:
        this.#afterFc(at, reader.u32());
        return;
      case Form.prefixFd:
        this.#afterFd(at, reader.u32());
        return;
      case Form.prefixFe:
        this.#afterFe(at, reader.u32());
        return;
      case Form.unknown:
        throw unknownOpcode(at, opcode.toString(16));
    }
  }

  #add(at: number, charge: Charge, units: number): Place {
    const place = { at, charge, units };
    this.places.push(place);
    return place;
  }

  #open(header: Place | null): void {
    if (this.#blocks.length === DEPTH_MAX) throw new Refusal("blocks are nested too deeply");
    this.#blocks.push(header);
  }

  #close(at: number): void {
    const header = this.#blocks.pop();
    if (header === undefined) throw new Refusal(`a block ends that never began, at byte ${at}`);
    if (header !== null) header.units += (at - header.at) >> CODE_BYTES_PER_UNIT_LOG2;
  }

  /** Alignment with bit 6 set: a memory index follows. Then the offset. */
  #memoryArgument(): void {
    const reader = this.#reader;
    if ((reader.u32() & 0x40) !== 0) reader.u32();
    reader.u32();
  }

  #tryTable(): void {
    const reader = this.#reader;
    reader.skipNumber(5);
    for (let left = reader.u32(); left > 0; left--) {
      const at = reader.at;
      const kind = reader.byte();
      if (kind > 3) throw new Refusal(`catch clause ${kind} is not known, at byte ${at}`);
      // catch and catch_ref name a tag before their label; the catch_alls do not.
      if (kind < 2) reader.u32();
      reader.u32();
    }
    this.#open(null);
  }

  #afterFc(at: number, opcode: number): void {
    const form: PrefixedForm | undefined = FC_FORMS[opcode];
    if (form === undefined) throw unknownOpcode(at, `fc ${opcode.toString(16)}`);
    if (form.bulk === Bulk.bytes) this.#add(at, Charge.bytes, 0);
    else if (form.bulk === Bulk.entries) this.#add(at, Charge.entries, 0);
    else if (form.bulk === Bulk.tableGrow) this.#add(at, Charge.plain, TABLE_GROW_UNITS);
    for (let left = form.indices; left > 0; left--) this.#reader.u32();
  }

  #afterFd(at: number, opcode: number): void {
    const reader = this.#reader;
    if (opcode > SIMD_MAX) throw unknownOpcode(at, `fd ${opcode.toString(16)}`);
    if (opcode <= 11 || opcode === 92 || opcode === 93) this.#memoryArgument();
    else if (opcode === 12 || opcode === 13) reader.skip(16);
    else if (opcode >= 84 && opcode <= 91) {
      this.#memoryArgument();
      reader.byte();
    } else if (opcode >= 21 && opcode <= 34) reader.byte();
  }

  #afterFe(at: number, opcode: number): void {
    const reader = this.#reader;
    if (opcode >= ATOMIC.waitFirst && opcode <= ATOMIC.waitLast) {
      throw new Refusal(`memory.atomic.wait would stop the gateway, at byte ${at}`);
    }
    if (opcode === ATOMIC.fence) reader.byte();
    else if (
      opcode === ATOMIC.notify ||
      (opcode >= ATOMIC_ACCESS.first && opcode <= ATOMIC_ACCESS.last)
    ) {
      this.#memoryArgument();
    } else throw unknownOpcode(at, `fe ${opcode.toString(16)}`);
  }
}

/**
 * The offset of the next instruction that is more than an opcode and at most two short numbers.
 * Nearly all of the code is stepped over here, without a call for each byte.
 */
function pastSimple({ bytes, at: start, end }: ByteReader): number {
  let at = start;
  // Two bytes of room, so that the numbers need no check of their own.
  while (at < end - 2) {
    switch (FORM_OF[bytes[at] as number] as Form) {
      case Form.none:
        at += 1;
        break;
      case Form.index:
      case Form.i32:
      case Form.i64:
        if ((bytes[at + 1] as number) >= 0x80) return at;
        at += 2;
        break;
      case Form.memory:
        // A memory index may follow an alignment of 0x40 or more.
        if ((bytes[at + 1] as number) >= 0x40 || (bytes[at + 2] as number) >= 0x80) return at;
        at += 3;
        break;
      default:
        return at;
    }
  }
  return at;
}

function unknownOpcode(at: number, opcode: string): Refusal {
  return new Refusal(`instruction 0x${opcode} is not known, at byte ${at}`);
}
