//! Finds the places in one function's code where fuel is charged: its entry, the header of each
//! loop, and before instructions whose work grows with an operand. Counts on the way what the code
//! takes to compile.

import type { ByteReader } from "./byte-reader.ts";
import { Refusal } from "./byte-reader.ts";
import {
  atomicEffect,
  BULK_BYTES,
  CALL_BYTES,
  CALL_INDIRECT_BYTES,
  CALL_VALUE_BYTES,
  CHARGE_BYTES,
  EFFECTS,
  FC_EFFECTS,
  LABEL_BYTES,
  simdEffect,
  STATE_BYTES,
  TRUNCATION_BYTES,
  WEIGHTS,
  WIDE_BYTES,
} from "./compile-cost.ts";
import type { FunctionType, Layout } from "./layout.ts";
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

export interface Findings {
  /** In order. */
  readonly places: readonly Place[];
  /** An estimate of the memory that compiling it takes, charges included. */
  readonly compileBytes: number;
}

/** Looks through the code at `reader`, which stands behind the locals. */
export function findPlaces(reader: ByteReader, layout: Layout, localCount: number): Findings {
  const scan = new Scan(reader, layout, localCount);
  scan.run();
  return scan;
}

/** A block that is open. */
interface Block {
  /** The place of its loop header, or null. */
  readonly header: Place | null;
  /** Operands below it. */
  readonly base: number;
  readonly type: FunctionType;
}

const NO_VALUES: FunctionType = { parameters: 0, results: 0 };
const ONE_RESULT: FunctionType = { parameters: 0, results: 1 };
const EMPTY_BLOCK = 0x40;

class Scan implements Findings {
  readonly places: Place[] = [];
  compileBytes = 0;
  readonly #reader: ByteReader;
  readonly #layout: Layout;
  readonly #localCount: number;
  readonly #blocks: Block[] = [];
  /** Operands on the stack; behind a jump, where nothing runs, anything. */
  #height = 0;
  #isLeaf = true;

  constructor(reader: ByteReader, layout: Layout, localCount: number) {
    this.#reader = reader;
    this.#layout = layout;
    this.#localCount = localCount;
  }

  run(): void {
    const reader = this.#reader;
    const length = reader.end - reader.at;
    const units = 1 + (length >> CODE_BYTES_PER_UNIT_LOG2);
    this.#add(reader.at, Charge.checked, units);
    this.#blocks.push({ header: null, base: 0, type: NO_VALUES });
    while (this.#blocks.length > 0) {
      this.#passSimple();
      const at = reader.at;
      this.#instruction(at, reader.byte());
    }
    if (!reader.isAtEnd) throw new Refusal(`code goes on after its end, at byte ${reader.at}`);
    // A short function without loops and calls ends by itself: whoever calls it is charged.
    if (this.#isLeaf && units === 1) this.places.shift();
  }

  /**
   * Passes instructions that are no more than an opcode and at most two short numbers. Nearly all
   * of the code is stepped over here, without a call for each byte.
   */
  #passSimple(): void {
    const reader = this.#reader;
    const { bytes } = reader;
    // Two bytes of room, so that the numbers need no check of their own.
    const end = reader.end - 2;
    let { at } = reader;
    let height = this.#height;
    let compileBytes = 0;
    while (at < end) {
      const opcode = bytes[at] as number;
      const length = simpleLength(FORM_OF[opcode] as Form, bytes, at);
      if (length === 0) break;
      at += length;
      height += EFFECTS[opcode] as number;
      compileBytes += WEIGHTS[opcode] as number;
    }
    reader.at = at;
    this.#height = height;
    this.compileBytes += compileBytes;
  }

  // eslint-disable-next-line max-lines-per-function -- one case for each form of instruction
  #instruction(at: number, opcode: number): void {
    const reader = this.#reader;
    this.#height += EFFECTS[opcode] as number;
    this.compileBytes += WEIGHTS[opcode] as number;
    switch (FORM_OF[opcode] as Form) {
      case Form.none:
        return;
      case Form.block:
        this.#open(this.#blockType(), STATE_BYTES.block);
        return;
      case Form.loop: {
        const type = this.#blockType();
        this.#isLeaf = false;
        this.#open(type, STATE_BYTES.loop, this.#add(reader.at, Charge.checked, 1));
        return;
      }
      case Form.if:
        this.#height -= 1;
        this.#open(this.#blockType(), STATE_BYTES.if);
        return;
      case Form.try:
        this.#open(this.#blockType(), STATE_BYTES.try);
        return;
      case Form.else:
        this.#restart(at, (block) => block.type.parameters);
        return;
      case Form.catch:
        reader.u32();
        this.#restart(at, () => this.#layout.tagValuesMax);
        return;
      case Form.catchAll:
        this.#restart(at, () => 0);
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
        for (let left = reader.u32() + 1; left > 0; left--) {
          reader.u32();
          this.compileBytes += LABEL_BYTES;
        }
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
        this.#called(this.#layout.functionTypes[reader.u32()], CALL_BYTES);
        return;
      case Form.callIndirect:
      case Form.callRef:
        // The index into the table, or the reference.
        this.#height -= 1;
        this.#called(this.#layout.typeAt(reader.u32()), CALL_INDIRECT_BYTES);
        if (FORM_OF[opcode] === Form.callIndirect) reader.u32();
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
    this.compileBytes += CHARGE_BYTES + this.#stateBytes(STATE_BYTES.if);
    return place;
  }

  /** What a record of all locals and operands takes. */
  #stateBytes(bytesEach: number): number {
    return bytesEach * (this.#localCount + Math.max(0, this.#height));
  }

  #called(type: FunctionType | undefined, bytes: number): void {
    this.#isLeaf = false;
    if (type === undefined) throw new Refusal(`a call of nothing, at byte ${this.#reader.at}`);
    this.#height += type.results - type.parameters;
    this.compileBytes += bytes + CALL_VALUE_BYTES * (type.results + type.parameters);
  }

  /** One negative byte, or with a heap type behind it; else the index of a type. */
  #blockType(): FunctionType {
    const reader = this.#reader;
    const first = reader.bytes[reader.at] as number;
    if (first === EMPTY_BLOCK) {
      reader.skip(1);
      return NO_VALUES;
    }
    if (first > EMPTY_BLOCK && first < 0x80) {
      reader.skipValueType();
      return ONE_RESULT;
    }
    return this.#layout.typeAt(reader.u32());
  }

  #open(type: FunctionType, stateBytes: number, header: Place | null = null): void {
    if (this.#blocks.length === DEPTH_MAX) throw new Refusal("blocks are nested too deeply");
    this.compileBytes += this.#stateBytes(stateBytes);
    this.#blocks.push({ header, base: this.#height - type.parameters, type });
  }

  /** Another part of the innermost block begins, with so many values. */
  #restart(at: number, values: (block: Block) => number): void {
    const block = this.#blocks.at(-1);
    if (block === undefined) throw new Refusal(`a block goes on that never began, at byte ${at}`);
    this.#height = block.base + values(block);
  }

  #close(at: number): void {
    const block = this.#blocks.pop();
    if (block === undefined) throw new Refusal(`a block ends that never began, at byte ${at}`);
    const { header, base, type } = block;
    this.#height = base + type.results;
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
    const type = this.#blockType();
    for (let left = reader.u32(); left > 0; left--) {
      const at = reader.at;
      const kind = reader.byte();
      if (kind > 3) throw new Refusal(`catch clause ${kind} is not known, at byte ${at}`);
      // catch and catch_ref name a tag before their label; the catch_alls do not.
      if (kind < 2) reader.u32();
      reader.u32();
      this.compileBytes += LABEL_BYTES;
    }
    this.#open(type, STATE_BYTES.try);
  }

  #afterFc(at: number, opcode: number): void {
    const form: PrefixedForm | undefined = FC_FORMS[opcode];
    if (form === undefined) throw unknownOpcode(at, `fc ${opcode.toString(16)}`);
    if (form.bulk === Bulk.bytes) this.#add(at, Charge.bytes, 0);
    else if (form.bulk === Bulk.entries) this.#add(at, Charge.entries, 0);
    else if (form.bulk === Bulk.tableGrow) this.#add(at, Charge.plain, TABLE_GROW_UNITS);
    this.#height += FC_EFFECTS[opcode] as number;
    this.compileBytes += form.bulk === Bulk.none ? TRUNCATION_BYTES : BULK_BYTES;
    for (let left = form.indices; left > 0; left--) this.#reader.u32();
  }

  #afterFd(at: number, opcode: number): void {
    const reader = this.#reader;
    if (opcode > SIMD_MAX) throw unknownOpcode(at, `fd ${opcode.toString(16)}`);
    this.#height += simdEffect(opcode);
    this.compileBytes += WIDE_BYTES;
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
    this.#height += atomicEffect(opcode);
    this.compileBytes += WIDE_BYTES;
    if (opcode === ATOMIC.fence) reader.byte();
    else if (
      opcode === ATOMIC.notify ||
      (opcode >= ATOMIC_ACCESS.first && opcode <= ATOMIC_ACCESS.last)
    ) {
      this.#memoryArgument();
    } else throw unknownOpcode(at, `fe ${opcode.toString(16)}`);
  }
}

/** Zero: not simple. */
function simpleLength(form: Form, bytes: Uint8Array, at: number): number {
  switch (form) {
    case Form.none:
      return 1;
    case Form.index:
    case Form.i32:
    case Form.i64:
      return (bytes[at + 1] as number) < 0x80 ? 2 : 0;
    case Form.memory:
      // A memory index may follow an alignment of 0x40 or more.
      return (bytes[at + 1] as number) < 0x40 && (bytes[at + 2] as number) < 0x80 ? 3 : 0;
    default:
      return 0;
  }
}

function unknownOpcode(at: number, opcode: string): Refusal {
  return new Refusal(`instruction 0x${opcode} is not known, at byte ${at}`);
}
