//! What it takes to compile code, before it is compiled: an estimate of the memory that V8's
//! baseline compiler needs, by the kinds of instructions. It is not their number that counts: for
//! each `if`, loop and branch target the compiler keeps a record of every local and every operand,
//! so 50 kB of code with 5,000 locals took 1 GiB.
//!
//! The weights were measured on V8 11.3 with functions of one pattern, compiled two at a time.

/** So many bytes for each local and operand at the start of a block, by what begins. */
export const STATE_BYTES = { block: 20, loop: 14, if: 48, try: 44 } as const;
/** A charge of fuel that is put in, without the record for its `if`. */
export const CHARGE_BYTES = 350;
export const LABEL_BYTES = 90;
export const CALL_BYTES = 130;
export const CALL_INDIRECT_BYTES = 340;
/** For each value that a call takes or gives. */
export const CALL_VALUE_BYTES = 8;
/** Bulk instructions call the engine; vectors and atomics are a few machine instructions. */
export const BULK_BYTES = 500;
export const TRUNCATION_BYTES = 200;
export const WIDE_BYTES = 90;

type Range = readonly [first: number, last: number, value: number];

/** How many operands more there are behind a one-byte instruction without an own form. */
export const EFFECTS: Int8Array = table(new Int8Array(256), [
  [0x0d, 0x0e, -1],
  [0x1a, 0x1a, -1],
  [0x1b, 0x1c, -2],
  [0x20, 0x20, 1],
  [0x21, 0x21, -1],
  [0x23, 0x23, 1],
  [0x24, 0x24, -1],
  [0x26, 0x26, -2],
  [0x36, 0x3e, -2],
  [0x3f, 0x3f, 1],
  [0x41, 0x44, 1],
  [0x46, 0x4f, -1],
  [0x51, 0x66, -1],
  [0x6a, 0x78, -1],
  [0x7c, 0x8a, -1],
  [0x92, 0x98, -1],
  [0xa0, 0xa6, -1],
  [0xd0, 0xd0, 1],
  [0xd2, 0xd2, 1],
  [0xd3, 0xd3, -1],
  [0xd6, 0xd6, -1],
]);

/** The estimate for each one-byte instruction, in bytes. */
export const WEIGHTS: Uint16Array = table(new Uint16Array(256), [
  [0x00, 0xff, 16],
  [0x0d, 0x0d, 150],
  [0x0f, 0x0f, 100],
  [0x1a, 0x1a, 2],
  [0x20, 0x22, 8],
  [0x25, 0x26, 170],
  [0x28, 0x3e, 60],
  [0x40, 0x40, 250],
  [0x41, 0x44, 4],
  [0x6d, 0x70, 190],
  [0x7f, 0x82, 190],
  [0xa8, 0xab, 110],
  [0xae, 0xb1, 110],
  [0xd2, 0xd2, 140],
]);

/** After 0xFC: truncations, memory.init, data.drop, copy, fill, then tables in the same order. */
export const FC_EFFECTS: readonly number[] = [
  ...[0, 0, 0, 0, 0, 0, 0, 0],
  ...[-3, 0, -3, -3],
  ...[-3, 0, -3, -1, 1, -3],
];

/** After 0xFD. What is in no row takes two operands and gives one. */
const SIMD_EFFECTS: Int8Array = table(new Int8Array(0x114), [
  [0, 0x113, -1],
  [0, 10, 0],
  [11, 11, -2],
  [12, 12, 1],
  [15, 22, 0],
  [24, 25, 0],
  [27, 27, 0],
  [29, 29, 0],
  [31, 31, 0],
  [33, 33, 0],
  [77, 77, 0],
  [82, 82, -2],
  [83, 83, 0],
  [88, 91, -2],
  [92, 100, 0],
  [103, 106, 0],
  [116, 117, 0],
  [122, 122, 0],
  [124, 129, 0],
  [131, 132, 0],
  [135, 138, 0],
  [148, 148, 0],
  [160, 161, 0],
  [163, 164, 0],
  [167, 170, 0],
  [192, 193, 0],
  [195, 196, 0],
  [199, 202, 0],
  [224, 225, 0],
  [227, 227, 0],
  [236, 237, 0],
  [239, 239, 0],
  [248, 255, 0],
  [257, 260, 0],
  [261, 268, -2],
  [275, 275, -2],
]);

export function simdEffect(opcode: number): number {
  return SIMD_EFFECTS[opcode] ?? 0;
}

/** After 0xFE: notify, fence, loads, stores, read-modify-writes, and those that compare first. */
export function atomicEffect(opcode: number): number {
  if (opcode === 0x00) return -1;
  if (opcode < 0x17) return 0;
  if (opcode < 0x1e || opcode >= 0x48) return -2;
  return -1;
}

function table<Table extends Int8Array | Uint16Array>(into: Table, rows: readonly Range[]): Table {
  for (const [first, last, value] of rows) into.fill(value, first, last + 1);
  return into;
}
