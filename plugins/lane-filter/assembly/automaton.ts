//! Regular expressions as automata that were compiled elsewhere: whether one takes a whole text.
//!
//! All states that the text so far leads to are followed at once (Thompson), so that time grows
//! with the text and with the automaton, never beyond their product.

export enum StepKind {
  fail,
  match,
  /** One byte out of ranges. */
  byte,
  /** Two ways on. */
  fork,
  /** On without a byte, where the text is at such a place. */
  place,
  next,
}

/** As RE2 has them. */
namespace Place {
  export const lineStart: u32 = 1;
  export const lineEnd: u32 = 2;
  export const textStart: u32 = 4;
  export const textEnd: u32 = 8;
  export const wordEdge: u32 = 16;
  export const noWordEdge: u32 = 32;
}

const LINE_FEED: i32 = 0x0a;
/** Before the first byte, and behind the last. */
const NOTHING: i32 = -1;

export class Step {
  constructor(
    readonly kind: StepKind,
    readonly out: i32,
    /** Of `fork` the other way, of `place` what the place must be. */
    readonly arg: i32,
    /** Of `byte`: for each byte whether it is in. */
    readonly bytes: Uint8Array | null,
  ) {}
}

export class Automaton {
  private readonly current: Int32Array;
  private readonly following: Int32Array;
  private readonly stack: Int32Array;
  /** The round in which a step was reached last. */
  private readonly reachedIn: Uint64Array;
  private round: u64 = 0;
  private isTaken: bool = false;

  constructor(
    private readonly steps: Step[],
    private readonly first: i32,
  ) {
    this.current = new Int32Array(steps.length);
    this.following = new Int32Array(steps.length);
    // Each step puts at most two more on it, and is taken once in a round.
    this.stack = new Int32Array(2 * steps.length + 1);
    this.reachedIn = new Uint64Array(steps.length);
  }

  takes(start: usize, length: usize): bool {
    const end = start + length;
    let current = this.current;
    let following = this.following;
    let count = this.reach(this.first, current, 0, start, start, end, true);
    for (let at = start; at < end; at++) {
      const byte = load<u8>(at);
      let reached = 0;
      let isNew = true;
      for (let index = 0; index < count; index++) {
        const step = unchecked(this.steps[current[index]]);
        const bytes = step.bytes;
        if (bytes === null || unchecked(bytes[byte]) == 0) continue;
        reached = this.reach(step.out, following, reached, at + 1, start, end, isNew);
        isNew = false;
      }
      if (isNew) return false;
      const swapped = current;
      current = following;
      following = swapped;
      count = reached;
    }
    return this.isTaken;
  }

  /** Adds the steps that take a byte; `isTaken` says whether a match was among the others. */
  private reach(
    from: i32,
    into: Int32Array,
    already: i32,
    at: usize,
    start: usize,
    end: usize,
    isNew: bool,
  ): i32 {
    if (isNew) {
      this.round += 1;
      this.isTaken = false;
    }
    const place = placeOf(at, start, end);
    let count = already;
    let depth = 0;
    unchecked((this.stack[depth++] = from));
    while (depth > 0) {
      const index = unchecked(this.stack[--depth]);
      if (unchecked(this.reachedIn[index]) == this.round) continue;
      unchecked((this.reachedIn[index] = this.round));
      const step = unchecked(this.steps[index]);
      switch (step.kind) {
        case StepKind.match:
          this.isTaken = true;
          break;
        case StepKind.byte:
          unchecked((into[count++] = index));
          break;
        case StepKind.fork:
          unchecked((this.stack[depth++] = step.arg));
          unchecked((this.stack[depth++] = step.out));
          break;
        case StepKind.place:
          if ((<u32>step.arg & ~place) == 0) unchecked((this.stack[depth++] = step.out));
          break;
        case StepKind.next:
          unchecked((this.stack[depth++] = step.out));
          break;
        default:
          break;
      }
    }
    return count;
  }
}

function placeOf(at: usize, start: usize, end: usize): u32 {
  const before = at == start ? NOTHING : <i32>load<u8>(at - 1);
  const behind = at == end ? NOTHING : <i32>load<u8>(at);
  let place: u32 = isWord(before) == isWord(behind) ? Place.noWordEdge : Place.wordEdge;
  if (before == NOTHING) place |= Place.textStart | Place.lineStart;
  if (before == LINE_FEED) place |= Place.lineStart;
  if (behind == NOTHING) place |= Place.textEnd | Place.lineEnd;
  if (behind == LINE_FEED) place |= Place.lineEnd;
  return place;
}

function isWord(byte: i32): bool {
  const lower = byte | 0x20;
  const isLetter = byte >= 0x41 && lower >= 0x61 && lower <= 0x7a;
  return isLetter || byte == 0x5f || (byte >= 0x30 && byte <= 0x39);
}
