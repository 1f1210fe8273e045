//! The Huffman code of HPACK (RFC 7541 appendix B).
//!
//! The code is canonical: shorter codes come first, those of one length in the order of their
//! symbols. So the lengths say it all; the codes and the decoder's states are made from them.

/** Bits of each byte's code, one digit in base 36 for each. */
const LENGTHS =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq";
const RADIX = 36;
const EOS = 256;
const EOS_BITS = 30;
const SYMBOLS = 257;
/** Padding is the beginning of EOS, all ones, and shorter than a byte (section 5.2). */
const PADDING_BITS_MAX = 7;
/** More bits would not fit into an integer of 32 together with what is left of a byte. */
const BITS_AT_ONCE = 24;
const BITS_OF_REST = 16;
const REST_MASK = 0xffff;

const lengths: Uint8Array = Uint8Array.from(LENGTHS, (digit) => parseInt(digit, RADIX));
const codes: Uint32Array = assignCodes();

function assignCodes(): Uint32Array {
  const made = new Uint32Array(SYMBOLS);
  const bitsOf = (symbol: number): number => lengths[symbol] ?? EOS_BITS;
  const order = Array.from({ length: SYMBOLS }, (_unused, symbol) => symbol).sort(
    (left, right) => bitsOf(left) - bitsOf(right) || left - right,
  );
  let code = 0;
  let bits = 0;
  for (const symbol of order) {
    code <<= bitsOf(symbol) - bits;
    bits = bitsOf(symbol);
    made[symbol] = code++;
  }
  return made;
}

/** A state is an inner node of the code's tree; four bits lead from one to the next. */
const STEPS = 16;
const STEP_BITS = 4;
const EMITS = 0x100;
const SYMBOL_MASK = 0xff;
const EMIT_SHIFT = 8;
const STATE_SHIFT = 9;
/** As many inner nodes as symbols but one; no way leads out of the last state. */
const FAILED = SYMBOLS - 1;

/** For state * 16 + four bits: the next state, whether a symbol ends here, and which. */
const steps: Int32Array = new Int32Array((FAILED + 1) * STEPS);
/** May a text end in this state? */
const isEnd: Uint8Array = new Uint8Array(FAILED + 1);
buildSteps();

/** Fills `steps` and `isEnd`. */
function buildSteps(): void {
  const children = buildTree();
  for (let state = 0; state < FAILED; state++) {
    for (let bits = 0; bits < STEPS; bits++) {
      steps[state * STEPS + bits] = stepOf(children, state, bits);
    }
  }
  steps.fill(FAILED << STATE_SHIFT, FAILED * STEPS);
  let node = 0;
  for (let bits = 0; bits <= PADDING_BITS_MAX; bits++) {
    isEnd[node] = 1;
    node = children[2 * node + 1] as number;
  }
}

/** For node * 2 + bit: the next inner node, or a symbol as its complement. */
function buildTree(): Int32Array {
  const children = new Int32Array(2 * FAILED);
  let nodes = 1;
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const code = codes[symbol] as number;
    let node = 0;
    for (let bit = (lengths[symbol] ?? EOS_BITS) - 1; bit > 0; bit--) {
      const at = 2 * node + ((code >>> bit) & 1);
      if (children[at] === 0) children[at] = nodes++;
      node = children[at] as number;
    }
    children[2 * node + (code & 1)] = ~symbol;
  }
  return children;
}

/** No code is shorter than five bits: four end at most one symbol. */
function stepOf(children: Int32Array, state: number, bits: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = STEP_BITS - 1; bit >= 0; bit--) {
    node = children[2 * node + ((bits >>> bit) & 1)] as number;
    if (node >= 0) continue;
    if (~node === EOS) return FAILED << STATE_SHIFT;
    emitted = EMITS | ~node;
    node = 0;
  }
  return (node << STATE_SHIFT) | emitted;
}

/** Bytes that a coded text of that many can become at most; what `huffmanDecode` needs to write. */
export function decodedBytesMax(codedBytes: number): number {
  return ((codedBytes * 8) / 5 + 1) | 0;
}

/** Decodes [start, end) to the beginning of `out`. Returns the bytes written, or -1. */
export function huffmanDecode(bytes: Buffer, start: number, end: number, out: Buffer): number {
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    // A symbol that does not end yet is written over by the next: no branch.
    const high = steps[(state << STEP_BITS) | (byte >>> STEP_BITS)] as number;
    out[length] = high & SYMBOL_MASK;
    length += (high >>> EMIT_SHIFT) & 1;
    const low = steps[((high >>> STATE_SHIFT) << STEP_BITS) | (byte & (STEPS - 1))] as number;
    out[length] = low & SYMBOL_MASK;
    length += (low >>> EMIT_SHIFT) & 1;
    state = low >>> STATE_SHIFT;
  }
  return isEnd[state] === 1 ? length : -1;
}

/** Bytes that `text`, of Latin-1, has when coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    bits += lengths[text.charCodeAt(index) & SYMBOL_MASK] as number;
  }
  return (bits + PADDING_BITS_MAX) >>> 3;
}

/** Codes `text`, of Latin-1, to `out` at `start`, where there is room. Returns the end. */
export function huffmanEncode(text: string, out: Buffer, start: number): number {
  let at = start;
  let pending = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & SYMBOL_MASK;
    const code = codes[symbol] as number;
    let length = lengths[symbol] as number;
    if (length > BITS_AT_ONCE) {
      length -= BITS_OF_REST;
      pending = (pending << length) | (code >>> BITS_OF_REST);
      for (bits += length; bits >= 8;) out[at++] = pending >>> (bits -= 8);
      length = BITS_OF_REST;
    }
    pending = (pending << length) | (length === BITS_OF_REST ? code & REST_MASK : code);
    for (bits += length; bits >= 8;) out[at++] = pending >>> (bits -= 8);
  }
  if (bits > 0) out[at++] = (pending << (8 - bits)) | (SYMBOL_MASK >>> bits);
  return at;
}
