//! The conditions of the decision program, as `src/lane/program.ts` and `src/lane/operators.ts` have
//! them: a missing operand meets `!=`, `notIn` and `absent`, and no other test.

import { bucketOf, HashKind } from "../../../sdk/assemblyscript/assembly/key-hash";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Network, readAddress } from "./address";
import { Automaton } from "./automaton";
import { DecimalBound, readDecimal } from "./decimal";
import { Operand } from "./operand";
import { Comparator, readVersion } from "./version";

const MODULO: u32 = 100;

export abstract class Condition {
  abstract isMet(): bool;
}

/** Met by every request, until it is read. */
export class All extends Condition {
  constructor(private readonly inner: Condition[]) {
    super();
  }

  isMet(): bool {
    for (let index = 0; index < this.inner.length; index++) {
      if (!this.inner[index].isMet()) return false;
    }
    return true;
  }
}

export class Any extends Condition {
  constructor(private readonly inner: Condition[]) {
    super();
  }

  isMet(): bool {
    for (let index = 0; index < this.inner.length; index++) {
      if (this.inner[index].isMet()) return true;
    }
    return false;
  }
}

export class Not extends Condition {
  constructor(private readonly inner: Condition) {
    super();
  }

  isMet(): bool {
    return !this.inner.isMet();
  }
}

export class Test extends Condition {
  constructor(
    private readonly operand: Operand,
    private readonly predicate: Predicate,
    private readonly isDenied: bool,
  ) {
    super();
  }

  isMet(): bool {
    const operand = this.operand;
    const isHeld =
      operand.isThere() && this.predicate.holds(operand.start, operand.length);
    return isHeld != this.isDenied;
  }
}

/** What an operand that is there must be; its value is bytes. */
export abstract class Predicate {
  abstract holds(start: usize, length: usize): bool;
}

export class Always extends Predicate {
  holds(_start: usize, _length: usize): bool {
    return true;
  }
}

export class OneOf extends Predicate {
  constructor(private readonly values: Utf8[]) {
    super();
  }

  holds(start: usize, length: usize): bool {
    for (let index = 0; index < this.values.length; index++) {
      const value = this.values[index];
      if (value.length == length && isAt(start, value)) return true;
    }
    return false;
  }
}

export class Prefix extends Predicate {
  constructor(private readonly value: Utf8) {
    super();
  }

  holds(start: usize, length: usize): bool {
    return length >= this.value.length && isAt(start, this.value);
  }
}

export class Suffix extends Predicate {
  constructor(private readonly value: Utf8) {
    super();
  }

  holds(start: usize, length: usize): bool {
    return length >= this.value.length && isAt(start + length - this.value.length, this.value);
  }
}

export class Contains extends Predicate {
  constructor(private readonly value: Utf8) {
    super();
  }

  holds(start: usize, length: usize): bool {
    for (let at: usize = 0; at + this.value.length <= length; at++) {
      if (isAt(start + at, this.value)) return true;
    }
    return false;
  }
}

export class Matches extends Predicate {
  constructor(private readonly automaton: Automaton) {
    super();
  }

  holds(start: usize, length: usize): bool {
    return this.automaton.takes(start, length);
  }
}

export class Reaches extends Predicate {
  constructor(
    private readonly bound: DecimalBound,
    private readonly isWanted: bool,
  ) {
    super();
  }

  holds(start: usize, length: usize): bool {
    return readDecimal(start, length) && this.bound.isReached() == this.isWanted;
  }
}

/** One of the lists has to hold as a whole. */
export class InRange extends Predicate {
  constructor(private readonly ranges: Comparator[][]) {
    super();
  }

  holds(start: usize, length: usize): bool {
    if (!readVersion(start, length)) return false;
    for (let index = 0; index < this.ranges.length; index++) {
      if (holdAll(this.ranges[index])) return true;
    }
    return false;
  }
}

function holdAll(range: Comparator[]): bool {
  for (let index = 0; index < range.length; index++) {
    if (!range[index].holds()) return false;
  }
  return true;
}

export class Within extends Predicate {
  constructor(private readonly networks: Network[]) {
    super();
  }

  holds(start: usize, length: usize): bool {
    if (!readAddress(start, length)) return false;
    for (let index = 0; index < this.networks.length; index++) {
      if (this.networks[index].has()) return true;
    }
    return false;
  }
}

/** `prefix`: what stands before a key in what is hashed. */
export class Percentage extends Predicate {
  constructor(
    private readonly hash: HashKind,
    private readonly prefix: ArrayBuffer,
    private readonly limitPpm: u32,
  ) {
    super();
  }

  holds(start: usize, length: usize): bool {
    const before = <usize>this.prefix.byteLength;
    if (before == 0) return bucketOf(this.hash, start, length, MODULO) < this.limitPpm;
    const bytes = heap.alloc(before + length);
    memory.copy(bytes, changetype<usize>(this.prefix), before);
    memory.copy(bytes + before, start, length);
    const bucket = bucketOf(this.hash, bytes, before + length, MODULO);
    heap.free(bytes);
    return bucket < this.limitPpm;
  }
}

function isAt(start: usize, value: Utf8): bool {
  return memory.compare(start, value.pointer, value.length) == 0;
}
