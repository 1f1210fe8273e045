//! Makes random small WebAssembly programs that end by themselves, in text format.

import type { Prng } from "../../src/base/prng.ts";

const FUNCTIONS = 4;
const LOCALS = 4;
const DEPTH_MAX = 4;
const BINARY = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "rotl", "lt_s", "eq"];

/**
 * A module with a memory, a global, a table, and `run(a, b) -> i32`. Functions call only later ones
 * and loops count down, so every program ends.
 */
export function randomProgram(prng: Prng): string {
  const functions = Array.from({ length: FUNCTIONS }, (_, index) =>
    new FunctionMaker(prng, index).make(),
  );
  return `(module (type $t (func (param i32 i32) (result i32)))
    (memory (export "memory") 1 4) (global $g (export "g") (mut i32) (i32.const 7))
    (table 4 4 funcref) (elem (i32.const 0) func ${FUNCTION_NAMES})
    (export "run" (func $f0)) ${functions.join("\n")})`;
}

const FUNCTION_NAMES = Array.from({ length: FUNCTIONS }, (_, index) => `$f${index}`).join(" ");

class FunctionMaker {
  readonly #prng: Prng;
  readonly #index: number;
  #labels = 0;
  #loops = 0;

  constructor(prng: Prng, index: number) {
    this.#prng = prng;
    this.#index = index;
  }

  make(): string {
    const body = this.#statements(0, []);
    const counters = Array.from({ length: this.#loops }, (_, at) => `(local $c${at} i32)`);
    return `(func $f${this.#index} (type $t) (param $l0 i32) (param $l1 i32) (result i32)
      (local $l2 i32) (local $l3 i32) ${counters.join(" ")}
      ${body} ${this.#expression(0)})`;
  }

  #below(count: number): number {
    return this.#prng.below(count);
  }

  #statements(depth: number, labels: readonly string[]): string {
    const count = 1 + this.#below(4);
    return Array.from({ length: count }, () => this.#statement(depth, labels)).join("\n");
  }

  #statement(depth: number, labels: readonly string[]): string {
    const value = (): string => this.#expression(0);
    const label = `$b${this.#labels++}`;
    const inner = (own: readonly string[]): string => this.#statements(depth + 1, own);
    switch (depth >= DEPTH_MAX ? this.#below(5) : this.#below(10)) {
      case 0:
        return `(local.set $l${this.#below(LOCALS)} ${value()})`;
      case 1:
        return `(i32.store (i32.and ${value()} (i32.const 0xfff)) ${value()})`;
      case 2:
        return `(global.set $g ${value()})`;
      case 3:
        return labels.length === 0 ? "(nop)" : `(br_if ${this.#pick(labels)} ${value()})`;
      case 4:
        return `(memory.fill (i32.and ${value()} (i32.const 0xfff)) ${value()}
          (i32.and ${value()} (i32.const 0x7f)))`;
      case 5:
        return `(block ${label} ${inner([...labels, label])})`;
      case 6:
        return `(if ${value()} (then ${inner(labels)}) (else ${inner(labels)}))`;
      case 7:
        return this.#loop(label, inner([...labels, label]));
      case 8:
        return `(block ${label} (br_table ${label} ${this.#pick([...labels, label])} ${label}
          (i32.and ${value()} (i32.const 3))))`;
      default:
        return `(drop ${this.#call(0)})`;
    }
  }

  /** Also a jump back counts down, so the loop ends. */
  #loop(label: string, body: string): string {
    const counter = `$c${this.#loops++}`;
    const count = 1 + this.#below(5);
    return `(local.set ${counter} (i32.const ${count}))
      (block ${label}-out (loop ${label}
        (br_if ${label}-out (i32.eqz (local.get ${counter})))
        (local.set ${counter} (i32.sub (local.get ${counter}) (i32.const 1)))
        ${body} (br ${label})))`;
  }

  #expression(depth: number): string {
    const next = (): string => this.#expression(depth + 1);
    switch (depth > 3 ? this.#below(2) : this.#below(8)) {
      case 0:
        return `(i32.const ${this.#below(0x1_0000) - 0x8000})`;
      case 1:
        return `(local.get $l${this.#below(LOCALS)})`;
      case 2:
        return `(i32.load (i32.and ${next()} (i32.const 0xfff)))`;
      case 3:
        return "(global.get $g)";
      case 4:
        return this.#call(depth);
      case 5:
        return `(select ${next()} ${next()} ${next()})`;
      default:
        return `(i32.${this.#pick(BINARY)} ${next()} ${next()})`;
    }
  }

  #call(depth: number): string {
    const later = FUNCTIONS - this.#index - 1;
    if (later === 0) return "(memory.size)";
    const callee = this.#index + 1 + this.#below(later);
    const operands = `${this.#expression(depth + 2)} ${this.#expression(depth + 2)}`;
    if (this.#below(2) === 0) return `(call $f${callee} ${operands})`;
    return `(call_indirect (type $t) ${operands} (i32.const ${callee}))`;
  }

  #pick(choices: readonly string[]): string {
    return choices[this.#below(choices.length)] as string;
  }
}
