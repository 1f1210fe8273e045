//! Bodies drawn at random: documents and forms that are nearly well-formed, and numbers near to
//! what tells doubles apart. One character for each byte.

import type { SeededPrng } from "../../src/base/prng.ts";
import type { FilterRequest } from "./filter-draw.ts";

const wire = (text: string): string => Buffer.from(text).toString("latin1");

const NUMBERS = [
  ...["0", "-0", "1", "-1", "10", "1e2", "1E+2", "1.50", "1e-7", "123456789012345678", "1e21"],
  ...["1e400", "-1e400", "1e-400", "5e-324", "2e-324", "3e-324", "2.4703282292062328e-324"],
  ...["1.7976931348623157e308", "1.7976931348623159e308", "9007199254740993", "0.1e-5", "1e-6"],
  ...["2.2250738585072011e-308", "2.2250738585072014e-308", "5.684341886080802e-14"],
  ...["9007199254740992", "100000000000000000000", "1000000000000000000000", "1.0000000000000002"],
  ...["0.000001", "123e-20", "4.35", "0.3000000000000000444", "1e23", "9.5367431640625e-7"],
  ...["8.5e-1100000", "1e1000001", `0.${"0".repeat(400)}1e401`, `1${"0".repeat(400)}e-400`],
  ...[`1.${"0".repeat(900)}1`, `9007199254740993.${"0".repeat(900)}1`, `${"9".repeat(330)}e-330`],
];
const STRINGS = [
  ...['"a"', '""', '"a,b"', '"\\u0061"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"'],
  ...['"\\n\\t\\/\\\\\\""', '"ü"', '"\\b\\f\\r"', '"\\ud83dx\\ude00"', '"\\ud83d\\u0041"'],
  ...['"ab\\u0000c"', '"😀"'],
].map(wire);
/** No values. */
const WRONG = [
  ...["01", "1.", ".5", "+1", "1e", "1e+", "-", "0x1", "NaN", "Infinity", "1_0", "--1", "1e5e5"],
  ...[
    '"\\x"',
    '"\\u12g4"',
    '"\\u123"',
    '"a',
    '"\t"',
    '"\\"',
    "tru",
    "nulls",
    "True",
    "",
    "[1,]",
    "{,}",
  ],
  ...["{a:1}", "[1 2]", '{"a" 1}', "[", "}", "'a'"],
];
/** No UTF-8, or only the beginning of it. */
const BROKEN = ["\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f\x98", "\xc0\xaf", "\xf5\x80"];
const NAMES = ['"a"', '"b"', '"\\u0061"', '"ü"', '"c"', '"__proto__"', '""', '"a.b"', '"\\ud800"'];
const LITERALS = ["true", "false", "null"];
const BLANKS = [" ", "\n", "\r\n\t "];
const FORM_NAMES = ["a", "b", "%61", "ü", "%C3%BC", "", "a+b", "a%"];
const FORM_VALUES = ["", "1", "a%20b", "a+b", "%zz", "x=y", "%C3%BC", "%", "\xff\x00"];
export const BODY_TYPES: readonly string[] = [
  ...["application/json", "application/json; charset=utf-8", "text/json", " Application/JSON "],
  ...["application/vnd.x+json", "application/+json", "application/x_1.y-z+json", "image/json"],
  ...["application/a/b+json", "application/json5", "json", "application/x-www-form-urlencoded"],
];
const FORM_TYPE = "application/x-www-form-urlencoded; charset=utf-8";
const PARTS_TYPES = [
  ...["multipart/form-data; boundary=B", 'Multipart/Form-Data;boundary="B"', "multipart/form-data"],
  ...[
    "multipart/form-data; boundary=B; boundary=C",
    'multipart/form-data; x="a\\"; b"; boundary=B',
  ],
  ...['multipart/form-data; boundary="B', "multipart/form-data; Boundary=B ;", "multipart/mixed"],
  ...['multipart/form-data; boundary="\\B"', 'multipart/form-data; boundary="B "', "x; boundary=B"],
  `multipart/form-data; boundary=B${Array.from({ length: 32 }, (_, i) => `; p${i}=1`).join("")}`,
  `multipart/form-data; boundary=B${Array.from({ length: 31 }, (_, i) => `; p${i}=1`).join("")}`,
];
const PART_HEADS = [
  ...["name=a", 'name="a"', "name=b", 'name="a%22b"', 'name="%0d%0A%61"', "Name=a; x=1", "name=a;"],
  ...["name=a; name=a", "name=a; name*=b", 'name=a; filename="f"', "name=a; filename*=f", "x=1"],
  ...['name="a\\"b"', 'name="a\\xb"', 'name="a', "name=", 'name="ü"', "name=a x", 'name="a";;'],
];
const DISPOSITIONS = ["form-data; ", "Form-Data ;", "form-data", "attachment; ", "form-data\t; "];
const PART_LINES = [
  ...["content-type: text/plain", "Content-Transfer-Encoding: 8BIT ", "x", "x: y\nz", "x : y", ""],
  ...["content-transfer-encoding: base64", "x:", "content-disposition: form-data; name=b", "x: \0"],
];

export class BodyDraw {
  readonly #prng: SeededPrng;

  constructor(prng: SeededPrng) {
    this.#prng = prng;
  }

  request(): FilterRequest {
    const parts = 1 + this.#below(3);
    const [type, body] = this.#of([
      () => [this.#of(BODY_TYPES), this.#document()] as const,
      () => ["application/json", this.#document()] as const,
      () => [FORM_TYPE, this.#form()] as const,
      () => [this.#of(PARTS_TYPES), this.#multipart()] as const,
    ])();
    const encoding = this.#of(["", "", "", "", "", "", "gzip", "Identity"]);
    const headers: (readonly [string, string])[] = [["content-type", wire(type)]];
    if (encoding !== "") headers.push(["content-encoding", encoding]);
    return { method: "POST", headers, body: this.#spoilt(body), parts };
  }

  #below(limit: number): number {
    return this.#prng.below(limit);
  }

  #of<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)] as T;
  }

  /** One byte more, less or other, now and then. */
  #spoilt(body: string): string {
    if (this.#below(10) !== 0) return body;
    const at = this.#below(body.length + 1);
    const more = this.#of(["", "x", ",", '"', "\\", "\0", "}", "]", "\xa0", "\f", "-", ...BROKEN]);
    return body.slice(0, at) + more + body.slice(at + this.#below(2));
  }

  #document(): string {
    if (this.#below(12) === 0) return this.#value(0);
    const members = Array.from({ length: 1 + this.#below(4) }, () => this.#member(3));
    return `${this.#blank()}{${members.join(",")}}${this.#blank()}`;
  }

  #member(depth: number): string {
    const name = wire(this.#of(NAMES));
    return `${this.#blank()}${name}${this.#blank()}:${this.#blank()}${this.#value(depth)}`;
  }

  #value(depth: number): string {
    if (this.#below(60) === 0) return this.#of(WRONG);
    const kind = this.#below(depth === 0 ? 4 : 7);
    if (kind === 0) return this.#number();
    if (kind === 1) return this.#string();
    if (kind === 2) return this.#of(LITERALS);
    if (kind === 3) return this.#of(['"x"', "7", "[]", "{}", "[null]"]);
    const count = this.#below(4);
    if (kind === 4) {
      const members = Array.from({ length: count }, () => this.#member(depth - 1));
      return `{${members.join(",")}${this.#blank()}}`;
    }
    const items = Array.from({ length: count }, () => this.#value(kind === 5 ? 0 : depth - 1));
    return `[${this.#blank()}${items.join(`${this.#blank()},`)}${this.#blank()}]`;
  }

  #string(): string {
    if (this.#below(5) > 0) return this.#of(STRINGS);
    const rest = Array.from({ length: this.#below(3) }, () => this.#of([...BROKEN, "a", "\xbf"]));
    return `"${rest.join("")}"`;
  }

  /** Of any size and length, often beside the middle of two doubles. */
  #number(): string {
    const digits = (count: number): string =>
      Array.from({ length: count }, () => String(this.#below(10))).join("");
    switch (this.#below(5)) {
      case 0:
        return this.#of(NUMBERS);
      case 1:
        return `${1 + this.#below(9)}${digits(this.#below(22))}`;
      case 2:
        return `-0.${digits(1 + this.#below(30))}e${this.#below(700) - 350}`;
      case 3:
        return String(2 ** (this.#below(2098) - 1074));
      default:
        return `${1 + this.#below(9)}.${digits(14 + this.#below(6))}e${this.#below(60) - 30}`;
    }
  }

  #blank(): string {
    return this.#below(4) === 0 ? this.#of(BLANKS) : "";
  }

  #form(): string {
    const pairs = Array.from({ length: this.#below(4) }, () => {
      const name = wire(this.#of(FORM_NAMES));
      return this.#of([`${name}=${wire(this.#of(FORM_VALUES))}`, name]);
    });
    return pairs.join(this.#of(["&", "&&"]));
  }

  #multipart(): string {
    const parts = Array.from({ length: 1 + this.#below(3) }, () => {
      const head = `Content-Disposition: ${this.#disposition()}${wire(this.#of(PART_HEADS))}`;
      const lines = this.#below(4) === 0 ? [head, this.#of(PART_LINES)] : [head];
      const value = this.#of(["v", "", "a\r\nb", "--B", "\r\n--", "\xff\0", "v\r\n--Bx"]);
      return `${lines.join("\r\n")}\r\n\r\n${value}`;
    });
    const end = this.#of(["--", "--\r\n", "--\r\n", "--\n", "", "--x"]);
    return `--B\r\n${parts.join("\r\n--B\r\n")}\r\n--B${end}`;
  }

  #disposition(): string {
    return this.#below(6) === 0 ? this.#of(DISPOSITIONS) : "form-data; ";
  }
}
