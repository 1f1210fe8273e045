//! What follows each opcode in the code of a function (specification, section 5.4): how to step
//! over it, and whether it costs more than an instruction should.

/** The form of an instruction's immediates. */
export const Form = {
  unknown: 0,
  none: 1,
  /** A block type follows and a block opens, as with `loop`, `if` and `try`. */
  block: 2,
  loop: 3,
  /** `end`. */
  end: 4,
  /** One index or label. */
  index: 5,
  index2: 6,
  brTable: 7,
  memory: 8,
  i32: 9,
  i64: 10,
  f32: 11,
  f64: 12,
  selectTypes: 13,
  heapType: 14,
  tryTable: 15,
  /** `delegate` closes a try, with a label. */
  delegate: 16,
  /** Calls: one index, or two. */
  call: 17,
  callIndirect: 18,
  throw: 19,
  throwRef: 20,
  memoryGrow: 21,
  prefixFc: 22,
  prefixFd: 23,
  prefixFe: 24,
  /** Begins another part of the block that is open: else, catch, catch_all. */
  else: 25,
  catch: 26,
  catchAll: 27,
  if: 28,
  try: 29,
  /** Calls through a reference: one index, of a type. */
  callRef: 30,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

const RANGES: readonly (readonly [first: number, last: number, form: Form])[] = [
  [0x00, 0x01, Form.none],
  [0x02, 0x02, Form.block],
  [0x03, 0x03, Form.loop],
  [0x04, 0x04, Form.if],
  [0x05, 0x05, Form.else],
  // Exceptions as V8 has had them since 9.5: try, catch, throw, rethrow, delegate, catch_all.
  [0x06, 0x06, Form.try],
  [0x07, 0x07, Form.catch],
  [0x08, 0x08, Form.throw],
  [0x09, 0x09, Form.throw],
  [0x0a, 0x0a, Form.throwRef],
  [0x0b, 0x0b, Form.end],
  [0x0c, 0x0d, Form.index],
  [0x0e, 0x0e, Form.brTable],
  [0x0f, 0x0f, Form.none],
  [0x10, 0x10, Form.call],
  [0x11, 0x11, Form.callIndirect],
  [0x12, 0x12, Form.call],
  [0x13, 0x13, Form.callIndirect],
  [0x14, 0x15, Form.callRef],
  [0x18, 0x18, Form.delegate],
  [0x19, 0x19, Form.catchAll],
  [0x1a, 0x1b, Form.none],
  [0x1c, 0x1c, Form.selectTypes],
  [0x1f, 0x1f, Form.tryTable],
  [0x20, 0x26, Form.index],
  [0x28, 0x3e, Form.memory],
  [0x3f, 0x3f, Form.index],
  [0x40, 0x40, Form.memoryGrow],
  [0x41, 0x41, Form.i32],
  [0x42, 0x42, Form.i64],
  [0x43, 0x43, Form.f32],
  [0x44, 0x44, Form.f64],
  [0x45, 0xc4, Form.none],
  [0xd0, 0xd0, Form.heapType],
  [0xd1, 0xd1, Form.none],
  [0xd2, 0xd2, Form.index],
  [0xd3, 0xd4, Form.none],
  [0xd5, 0xd6, Form.index],
  [0xfc, 0xfc, Form.prefixFc],
  [0xfd, 0xfd, Form.prefixFd],
  [0xfe, 0xfe, Form.prefixFe],
];

/** The form of each one-byte opcode. */
export const FORM_OF: Uint8Array = tableOf(RANGES);

/** Work that grows with the number on top of the stack, and is charged before it is done. */
export const Bulk = { none: 0, bytes: 1, entries: 2, tableGrow: 3 } as const;
export type Bulk = (typeof Bulk)[keyof typeof Bulk];

export interface PrefixedForm {
  /** How many indices follow. */
  readonly indices: number;
  readonly bulk: Bulk;
}

/** Opcodes after 0xFC, by sub-opcode: truncation, then bulk memory and tables. */
export const FC_FORMS: readonly PrefixedForm[] = [
  ...Array.from({ length: 8 }, () => ({ indices: 0, bulk: Bulk.none })),
  { indices: 2, bulk: Bulk.bytes }, // memory.init: segment, memory
  { indices: 1, bulk: Bulk.none }, // data.drop
  { indices: 2, bulk: Bulk.bytes }, // memory.copy
  { indices: 1, bulk: Bulk.bytes }, // memory.fill
  { indices: 2, bulk: Bulk.entries }, // table.init: segment, table
  { indices: 1, bulk: Bulk.none }, // elem.drop
  { indices: 2, bulk: Bulk.entries }, // table.copy
  { indices: 1, bulk: Bulk.tableGrow }, // table.grow
  { indices: 1, bulk: Bulk.none }, // table.size
  { indices: 1, bulk: Bulk.entries }, // table.fill
];

/** Sub-opcodes after 0xFD (SIMD); the last twenty are the relaxed ones. */
export const SIMD_MAX = 0x113;
/** After 0xFE: notify, the waits, fence, then loads, stores and read-modify-writes. */
export const ATOMIC = { notify: 0x00, waitFirst: 0x01, waitLast: 0x02, fence: 0x03 } as const;
export const ATOMIC_ACCESS = { first: 0x10, last: 0x4e } as const;

function tableOf(ranges: typeof RANGES): Uint8Array {
  const table = new Uint8Array(256);
  for (const [first, last, form] of ranges) table.fill(form, first, last + 1);
  return table;
}
