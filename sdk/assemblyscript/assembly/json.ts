//! A small JSON reader (RFC 8259) for configurations, and quoting for reports.
//!
//! Numbers are read as f64: whole numbers exactly up to 2^53, decimals to about 15 digits.

const DEPTH_MAX: i32 = 64;

export enum JsonKind {
  null,
  boolean,
  number,
  string,
  array,
  object,
}

export class JsonValue {
  kind: JsonKind = JsonKind.null;
  boolean: bool = false;
  number: f64 = 0;
  string: string = "";
  items: JsonValue[] = [];
  /** Of an object: names[i] has the value items[i]. */
  names: string[] = [];

  /** The member of that name (the last one, if given twice), or null. */
  get(name: string): JsonValue | null {
    for (let index = this.names.length - 1; index >= 0; index--) {
      if (this.names[index] == name) return this.items[index];
    }
    return null;
  }
}

/** Reads one JSON text. After `parse` has returned null, `error` says what is wrong and where. */
export class JsonParser {
  error: string = "";
  private at: i32 = 0;
  private depth: i32 = 0;

  constructor(private readonly text: string) {}

  parse(): JsonValue | null {
    const value = this.value();
    if (value === null) return null;
    this.skipSpace();
    if (this.at < this.text.length) return this.fail("the end of the text");
    return value;
  }

  private value(): JsonValue | null {
    this.skipSpace();
    const code = this.peek();
    if (code == 0x7b) return this.object();
    if (code == 0x5b) return this.array();
    const value = new JsonValue();
    if (code == 0x22) {
      const text = this.quoted();
      if (text === null) return null;
      value.kind = JsonKind.string;
      value.string = text;
      return value;
    }
    if (code == 0x2d || isDigit(code)) return this.numeral(value);
    if (this.takeWord("null")) return value;
    value.kind = JsonKind.boolean;
    if (this.takeWord("false")) return value;
    value.boolean = true;
    if (this.takeWord("true")) return value;
    return this.fail("a value");
  }

  private object(): JsonValue | null {
    const value = new JsonValue();
    value.kind = JsonKind.object;
    if (++this.depth > DEPTH_MAX) return this.fail("less nesting");
    this.at++;
    if (!this.take(0x7d)) {
      do {
        this.skipSpace();
        if (this.peek() != 0x22) return this.fail("a member name in quotes");
        const name = this.quoted();
        if (name === null) return null;
        if (!this.take(0x3a)) return this.fail("':'");
        const member = this.value();
        if (member === null) return null;
        value.names.push(name);
        value.items.push(member);
      } while (this.take(0x2c));
      if (!this.take(0x7d)) return this.fail("',' or '}'");
    }
    this.depth--;
    return value;
  }

  private array(): JsonValue | null {
    const value = new JsonValue();
    value.kind = JsonKind.array;
    if (++this.depth > DEPTH_MAX) return this.fail("less nesting");
    this.at++;
    if (!this.take(0x5d)) {
      do {
        const item = this.value();
        if (item === null) return null;
        value.items.push(item);
      } while (this.take(0x2c));
      if (!this.take(0x5d)) return this.fail("',' or ']'");
    }
    this.depth--;
    return value;
  }

  private numeral(value: JsonValue): JsonValue | null {
    value.kind = JsonKind.number;
    const isNegative = this.takeNow(0x2d);
    if (!isDigit(this.peek())) return this.fail("a digit");
    let number: f64 = 0;
    if (!this.takeNow(0x30)) {
      while (isDigit(this.peek())) number = number * 10 + this.digit();
    }
    let scale: f64 = 1;
    if (this.takeNow(0x2e)) {
      if (!isDigit(this.peek())) return this.fail("a digit");
      while (isDigit(this.peek())) {
        number = number * 10 + this.digit();
        scale *= 10;
      }
    }
    number /= scale;
    if (this.takeNow(0x65) || this.takeNow(0x45)) {
      const shrinks = this.takeNow(0x2d);
      if (!shrinks) this.takeNow(0x2b);
      if (!isDigit(this.peek())) return this.fail("a digit");
      let exponent: i32 = 0;
      while (isDigit(this.peek())) exponent = min(exponent * 10 + <i32>this.digit(), 400);
      for (; exponent > 0; exponent--) number = shrinks ? number / 10 : number * 10;
    }
    value.number = isNegative ? -number : number;
    return value;
  }

  private quoted(): string | null {
    this.at++;
    let text = "";
    let start = this.at;
    while (true) {
      const code = this.peek();
      if (code < 0x20) {
        this.fail("the closing quote");
        return null;
      }
      this.at++;
      if (code == 0x22) return text + this.text.substring(start, this.at - 1);
      if (code != 0x5c) continue;
      text += this.text.substring(start, this.at - 1);
      const escaped = this.escape();
      if (escaped < 0) {
        this.fail("an escape sequence");
        return null;
      }
      text += String.fromCharCode(escaped);
      start = this.at;
    }
  }

  private escape(): i32 {
    const code = this.peek();
    this.at++;
    if (code == 0x22 || code == 0x5c || code == 0x2f) return code;
    if (code == 0x62) return 0x08;
    if (code == 0x66) return 0x0c;
    if (code == 0x6e) return 0x0a;
    if (code == 0x72) return 0x0d;
    if (code == 0x74) return 0x09;
    if (code != 0x75) return -1;
    let value: i32 = 0;
    for (let index = 0; index < 4; index++) {
      const digit = hexDigit(this.peek());
      if (digit < 0) return -1;
      value = (value << 4) | digit;
      this.at++;
    }
    return value;
  }

  private digit(): f64 {
    const value = this.peek() - 0x30;
    this.at++;
    return <f64>value;
  }

  /** -1 at the end. */
  private peek(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : -1;
  }

  private take(code: i32): bool {
    this.skipSpace();
    return this.takeNow(code);
  }

  private takeNow(code: i32): bool {
    if (this.peek() != code) return false;
    this.at++;
    return true;
  }

  private takeWord(word: string): bool {
    if (this.text.substring(this.at, this.at + word.length) != word) return false;
    this.at += word.length;
    return true;
  }

  private skipSpace(): void {
    let code = this.peek();
    while (code == 0x20 || code == 0x09 || code == 0x0a || code == 0x0d) {
      this.at++;
      code = this.peek();
    }
  }

  private fail(wanted: string): JsonValue | null {
    if (this.error == "") this.error = "expected " + wanted + " at character " + this.at.toString();
    return null;
  }
}

function isDigit(code: i32): bool {
  return code >= 0x30 && code <= 0x39;
}

function hexDigit(code: i32): i32 {
  if (isDigit(code)) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** The text as a JSON string, with its quotes. */
export function quote(text: string): string {
  let result = '"';
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code == 0x22 || code == 0x5c) result += "\\" + String.fromCharCode(code);
    else if (code < 0x20) {
      const digits = "0123456789abcdef";
      result += "\\u00" + digits.charAt(code >> 4) + digits.charAt(code & 15);
    } else result += String.fromCharCode(code);
  }
  return result + '"';
}
