//! Conditions and requests drawn at random: values that are near to what conditions ask.

import type { SeededPrng } from "../../src/base/prng.ts";
import { KEY_HASHES } from "../../src/snapshot/cohort.ts";
import type { Condition, Operand, Operator } from "../../src/snapshot/snapshot.ts";

/** What is left out has a default. Header values are bytes, one character for each. */
export interface FilterRequest {
  readonly method?: string;
  readonly target?: string;
  readonly authority?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly address?: string;
  /** Bytes, one character for each. Absent: the request has none. */
  readonly body?: string;
  /** In so many parts it comes; absent: in one. */
  readonly parts?: number;
  /** The name of the route that takes it. */
  readonly route?: string;
}

const wire = (text: string): string => Buffer.from(text).toString("latin1");

const TEXTS = ["a", "ab", "b", "a.b", "", "ü", "a b", "gold", "GOLD", "x,y", "a=b", "%41", "à"];
const NUMBERS = [
  ...["0", "-0", "1", "-1", "9.5", "10", "10.0", "+10", "1e3", "007", "0.1", ".5", "5."],
  ...["0.100000000000000", "0.100000000000001", "999999999999999", "-999999999999999.9"],
  ...["999999999999999.999999999999999", "1000000000000000", "123456789012345.678901234567891"],
  ...["123456789012345.67", "-0.000000000000001", "0.30000000000000004", "0.3"],
];
const VERSIONS = [
  ...["1.2.3", "v1.2.3", "1.2", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-alpha.beta", "1.2.3-1"],
  ...["1.2.3-01", "2.0.0", "2.0.0-rc.1+b7", "1.10.0", "1.9.9", " 1.2.3 ", "1.2.3+build", "1.2.3+"],
  ...["9007199254740991.0.0", "9007199254740992.0.0", "1.2.3-9007199254740993", "01.2.3", "=1.2.3"],
  ...["1.2.3-", "1.2.3-a..b", "0.0.0", "0.0.0-0", "1.2.3-alpha.1.0", "1.2.3--", "1.2.3-0a.00a"],
  ...["1.2.3\u00a0", "1.2.3.4", "V1.2.3"],
];
const RANGES = [
  ...[">=1.2.3", "^1.2.3", "~1.2.3-alpha", "1.x || >=2.0.0-rc.1", "*", "<1.2.3", "1.2.3"],
  ...["1.0.0 - 1.9.9", ">1.2.3-alpha.1 <2", "<0.0.0-0", "=1.2.3-alpha.beta", "<=1.2.3-1"],
  ...[">1.2.3-alpha.1.0", "^0.0.0-0", ">=1.2.3--"],
];
const ADDRESSES = [
  ...[
    "10.0.0.9",
    "10.1.2.3",
    "192.168.1.1",
    "192.169.1.1",
    "2001:db8:8000::1",
    "127.0.0.1",
    "::1",
    "2001:db8::1",
    "2001:DB8:0:0::1",
  ],
  ...["::ffff:10.0.0.9", "::10.0.0.9", "64:ff9b::10.1.2.3", "fe80::1%eth0", "fe80::1%", "1.2.3"],
  ...["01.2.3.4", "256.1.1.1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::"],
  ...["1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:1.2.3.4", "::1:2:3:4:5:1.2.3.4", "12345::"],
  ...["1:2:3:4:5:6:7:1.2.3.4", ":1::", "1:", "::ffff:0x0a.00.0.9", "::1.2.3.4%a", "1::1.2.3.4"],
  ...["::ffff:a00:9", "::ffff:256.0.0.1", "1:2:3::4:5:1.2.3.4", "::g", "1.2.3.4:80", "[::1]"],
];
const NETWORKS = [
  ...[
    "10.0.0.0/8",
    "10.0.0.9",
    "0.0.0.0/0",
    "192.168.0.0/15",
    "::/0",
    "2001:db8::/33",
    "fe80::/10",
  ],
  ...["::1", "::ffff:10.0.0.9", "64:ff9b::/96", "1:2:3:4:5:6:7:0/127", "10.0.0.8/31"],
];
const PATTERNS = [
  ...["g.*d", "(?i)gold", "[a-z]+", "a|ab", "(a|b)*\\.?b?", ".*", "", "[^a]*", "\\w+", "a?b{1,2}"],
  ...["\\bgold\\b", "^a.*$", "(?s).*", "ü", "[ü]", "(?i)Ü", "a\\B.*", "(?m)^a$", "x{0}", ".+,.+"],
  ...["\\d+(\\.\\d+)?", "(?:a|(?:b|c)+){2,3}", "[[:alpha:]]+", "\\x61+", "\\pL+", "v?1\\..*"],
];
const PATHS = ["/", "/a", "/a/b", "/A", "/a%20b", "/gold"];
const HOSTS = [
  "shop.test",
  "Shop.Test:8080",
  "shop.test.",
  "api.shop.test:",
  "10.0.0.1:80",
  "[::1]:80",
];
const QUERIES = [
  ...["", "?", "?q", "?q=", "?q=a", "?q=a%20b", "?q=a+b", "?%71=ab", "?p=1&q=gold&q=b", "?=a&q=b"],
  ...["?q=%C3%BC", "?q=%zz", "?q=%4", "?q=1.2.3", "?q=10", "?qq=a", "?q=a=b", "?p=?q=a", "?q=a?b"],
  ...["?q=%2541", "?&&q=a", "?Q=a", "?q=%", "?%C3%BC=a", "?q=%41%4a%4A"],
];
const OPERANDS: readonly Operand[] = [
  { kind: "header", name: "x-a" },
  { kind: "header", name: "x-b" },
  { kind: "cookie", name: "u" },
  { kind: "cookie", name: "v" },
  { kind: "query", name: "q" },
  { kind: "query", name: "ü" },
  { kind: "method", name: "" },
  { kind: "path", name: "" },
  { kind: "host", name: "" },
  { kind: "clientIp", name: "" },
];
const COMPARISONS: ReadonlySet<Operator> = new Set<Operator>(["<", "<=", ">", ">="]);
const PERCENTAGES = ["0", "1", "25", "50", "99", "100", "0.5", "33.3333"];

export class FilterDraw {
  static readonly operators: readonly Operator[] = [
    ...(["==", "!=", "in", "notIn", "prefix", "suffix", "contains", "regex"] as const),
    ...(["exists", "absent", "<", "<=", ">", ">=", "semver", "cidr", "percentage"] as const),
  ];
  readonly #prng: SeededPrng;

  constructor(prng: SeededPrng) {
    this.#prng = prng;
  }

  below(limit: number): number {
    return this.#prng.below(limit);
  }

  condition(depth: number): Condition {
    const kind = depth === 0 ? 0 : this.below(5);
    if (kind === 1) return { kind: "not", of: this.condition(depth - 1) };
    if (kind === 2 || kind === 3) {
      const of = Array.from({ length: this.below(4) }, () => this.condition(depth - 1));
      return { kind: kind === 2 ? "all" : "any", of };
    }
    return this.#test();
  }

  request(): FilterRequest {
    const headers: [string, string][] = [];
    for (const name of ["x-a", "x-b"]) {
      for (let count = this.below(4); count > 1; count--) headers.push([name, this.#value()]);
      if (this.below(2) === 0) headers.push([name, this.#value()]);
    }
    for (let count = this.below(3); count > 0; count--) headers.push(["cookie", this.#cookies()]);
    for (let count = this.below(3); count > 0; count--) {
      const hops = Array.from({ length: this.below(4) }, () => this.#of(ADDRESSES));
      headers.push(["x-forwarded-for", hops.join(this.#of([",", ", ", " ,\t"]))]);
    }
    return {
      headers,
      method: this.#of(["GET", "POST", "PUT"]),
      target: this.#of(PATHS) + this.#of(QUERIES),
      authority: this.#of(HOSTS),
      address: this.#of(["10.0.0.9", "127.0.0.1", "2001:db8::1", "::ffff:10.1.2.3"]),
    };
  }

  #of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  #cookies(): string {
    const pairs = Array.from({ length: 1 + this.below(3) }, () => {
      const name = this.#of(["u", "v", " u ", "\tv", "uu", ""]);
      const [value = ""] = this.#value().split(";");
      return this.#of([`${name}=${value}`, `${name}=${value}`, name]);
    });
    return pairs.join(this.#of([";", "; ", ";;"]));
  }

  #value(): string {
    const random = (): string =>
      String.fromCharCode(...Array.from({ length: this.below(9) }, () => this.#byte()));
    const pool = this.#of([TEXTS, NUMBERS, VERSIONS, ADDRESSES, PATHS, null]);
    return pool === null ? random() : wire(this.#of(pool));
  }

  /** Of those that a field's value may have. */
  #byte(): number {
    return this.#of([0x09, 0x20 + this.below(0x5f), 0x80 + this.below(0x80), 0x61, 0x62]);
  }

  #test(): Condition {
    const operator = this.#of(FilterDraw.operators);
    const base = { kind: "test", operand: this.#of(OPERANDS), operator } as const;
    const some = <T>(choices: readonly T[]): T[] =>
      Array.from({ length: 1 + this.below(3) }, () => this.#of(choices));
    const texts = [...TEXTS, ...PATHS, "GET", "shop.test", "10.0.0.9", "1.2.3"];
    if (COMPARISONS.has(operator)) {
      const numbers = NUMBERS.filter((text) => /^[+-]?\d+(\.\d+)?$/.test(text));
      return { ...base, values: [this.#of(numbers)] };
    }
    switch (operator) {
      case "exists":
      case "absent":
        return { ...base, values: [] };
      case "in":
      case "notIn":
        return { ...base, values: some(texts) };
      case "regex":
        return { ...base, values: [this.#of(PATTERNS)] };
      case "semver":
        return { ...base, values: [this.#of(RANGES)] };
      case "cidr":
        return { ...base, values: some(NETWORKS) };
      case "percentage": {
        const hash = this.#of([null, ...KEY_HASHES]);
        const values = [this.#of(PERCENTAGES)];
        return hash === null ? { ...base, values } : { ...base, values, hash };
      }
      default:
        return { ...base, values: [this.#of(texts)] };
    }
  }
}
