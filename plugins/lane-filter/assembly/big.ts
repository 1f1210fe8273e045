//! Whole numbers of any size that doubles need: up to 5,440 bits.

const LIMBS: i32 = 170;
/** The largest power of ten in a limb. */
const NINE: i32 = 9;
const TEN_TO_NINE: u64 = 1000000000;

export class Big {
  private readonly limbs: StaticArray<u32> = new StaticArray<u32>(LIMBS);
  private count: i32 = 0;

  set(value: u64): void {
    unchecked((this.limbs[0] = <u32>value));
    unchecked((this.limbs[1] = <u32>(value >> 32)));
    this.count = 2;
    this.trim();
  }

  bits(): i32 {
    if (this.count == 0) return 0;
    return this.count * 32 - <i32>clz<u32>(unchecked(this.limbs[this.count - 1]));
  }

  /** Times `factor` (below 2^32), and `more` to it. */
  times(factor: u64, more: u64 = 0): void {
    let carry = more;
    for (let index = 0; index < this.count; index++) {
      carry += <u64>unchecked(this.limbs[index]) * factor;
      unchecked((this.limbs[index] = <u32>carry));
      carry >>= 32;
    }
    if (carry != 0) unchecked((this.limbs[this.count++] = <u32>carry));
  }

  timesTenTo(power: i32): void {
    let left = power;
    for (; left >= NINE; left -= NINE) this.times(TEN_TO_NINE);
    for (; left > 0; left--) this.times(10);
  }

  shift(bits: i32): void {
    if (this.count == 0 || bits == 0) return;
    const words = bits >> 5;
    const rest: u64 = bits & 31;
    let carry: u64 = 0;
    for (let index = 0; index < this.count; index++) {
      carry |= (<u64>unchecked(this.limbs[index])) << rest;
      unchecked((this.limbs[index] = <u32>carry));
      carry >>= 32;
    }
    if (carry != 0) unchecked((this.limbs[this.count++] = <u32>carry));
    if (words == 0) return;
    for (let index = this.count - 1; index >= 0; index--) {
      unchecked((this.limbs[index + words] = this.limbs[index]));
    }
    for (let index = 0; index < words; index++) unchecked((this.limbs[index] = 0));
    this.count += words;
  }

  /** Below, at or above zero as this is less than, as large as or more than the other. */
  order(other: Big): i32 {
    if (this.count != other.count) return this.count < other.count ? -1 : 1;
    for (let index = this.count - 1; index >= 0; index--) {
      const mine = unchecked(this.limbs[index]);
      const its = unchecked(other.limbs[index]);
      if (mine != its) return mine < its ? -1 : 1;
    }
    return 0;
  }

  /** Of one that is not more than this. */
  minus(other: Big): void {
    let borrow: u64 = 0;
    for (let index = 0; index < this.count; index++) {
      const its: u64 = index < other.count ? <u64>unchecked(other.limbs[index]) : 0;
      const left = <u64>unchecked(this.limbs[index]) - its - borrow;
      unchecked((this.limbs[index] = <u32>left));
      borrow = (left >> 32) & 1;
    }
    this.trim();
  }

  setSum(one: Big, other: Big): void {
    let carry: u64 = 0;
    this.count = max(one.count, other.count);
    for (let index = 0; index < this.count; index++) {
      if (index < one.count) carry += <u64>unchecked(one.limbs[index]);
      if (index < other.count) carry += <u64>unchecked(other.limbs[index]);
      unchecked((this.limbs[index] = <u32>carry));
      carry >>= 32;
    }
    if (carry != 0) unchecked((this.limbs[this.count++] = <u32>carry));
  }

  private trim(): void {
    while (this.count > 0 && unchecked(this.limbs[this.count - 1]) == 0) this.count--;
  }
}
