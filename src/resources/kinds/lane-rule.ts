//! The rule of a Lane: conditions on a request, nested by all, any and not.
//!
//! A rule nests without end, which a JSON Schema of ours cannot say; so it is checked here, with
//! the same codes and the same sentences.

import validRange from "semver/ranges/valid.js";
import { parseJsonPath } from "../../base/json-path.ts";
import { FORMATS, isNetwork, regexFault } from "../formats.ts";
import { shown } from "../schema-faults.ts";
import { nearest } from "../suggest.ts";
import type { Finding, Path, Report } from "./kind.ts";

export type LaneRule =
  | LaneCondition
  | { readonly all: readonly LaneRule[] }
  | { readonly any: readonly LaneRule[] }
  | { readonly not: LaneRule };

/** One operand, one operator, and its value or values. */
export interface LaneCondition {
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
  /** A path into the request's body: `user.id`. */
  readonly bodyJson?: string;
  /** A field of the form that is the request's body. */
  readonly bodyForm?: string;
  /** A path into the claims of a verified token: `sub`. */
  readonly claim?: string;
  /** `country`, `city`, …, or a path into the database's record. */
  readonly geo?: string;
  /** A path into what is known of the caller: `identity`, `labels.app`. */
  readonly workload?: string;
  readonly method?: true;
  readonly path?: true;
  readonly host?: true;
  readonly clientIp?: true;
  readonly operator: string;
  readonly value?: string | number;
  readonly values?: readonly string[];
  /** Of the operator `percentage`. */
  readonly hash?: (typeof RULE_HASHES)[number];
}

/** How deep `all`, `any` and `not` may nest. */
export const RULE_DEPTH_MAX = 8;
/** Conditions of one rule, with those that only combine others. */
export const RULE_CONDITIONS_MAX = 200;
/** Items of `values`. */
export const RULE_VALUES_MAX = 1_000;
/** Characters of a name or a value. */
export const RULE_TEXT_MAX = 4_096;

/** Operands that need a name, and what the name is. */
export const NAMED_OPERANDS = [
  "header",
  "cookie",
  "query",
  "bodyJson",
  "bodyForm",
  "claim",
  "geo",
  "workload",
] as const;
/** Operands of which a request has one; written `path: true`. */
export const PLAIN_OPERANDS = ["method", "path", "host", "clientIp"] as const;
/** What may be known of a caller: the first name of a path. */
const WORKLOAD_FIELDS = [
  "identity",
  "dnsName",
  "namespace",
  "serviceAccount",
  "pod",
  "labels",
] as const;
const COMBINERS = ["all", "any", "not"] as const;
const CONDITION_FIELDS = ["operator", "value", "values", "hash"] as const;

/** Spellings that are read as another. */
const SYNONYMS: Readonly<Record<string, string>> = {
  "not in": "notIn",
  not_in: "notIn",
};

type ValueForm = "none" | "text" | "texts" | "regex" | "number" | "range" | "networks" | "percent";

const VALUE_FORMS: Readonly<Record<string, ValueForm>> = {
  "==": "text",
  "!=": "text",
  in: "texts",
  notIn: "texts",
  prefix: "text",
  suffix: "text",
  contains: "text",
  regex: "regex",
  exists: "none",
  absent: "none",
  "<": "number",
  "<=": "number",
  ">": "number",
  ">=": "number",
  semver: "range",
  cidr: "networks",
  percentage: "percent",
};

export const OPERATORS: readonly string[] = Object.keys(VALUE_FORMS);
/** Named hashes of the operator `percentage`. */
export const RULE_HASHES = [
  "murmur3",
  "fnv1a",
  "sha256",
  "traffic-tag",
  "frontend-gray",
  "unleash",
] as const;
const DECIMAL = /^[+-]?\d{1,15}(\.\d{1,15})?$/;
const PERCENT_MAX = 100;

/** The operator's one name in the decision program. */
export function operatorOf(spelling: string): string {
  return SYNONYMS[spelling] ?? spelling;
}

/** Reports everything that is wrong with a rule whose shape has not been looked at. */
export function checkRule(rule: unknown, path: Path, report: Report): void {
  const budget = { conditionsLeft: RULE_CONDITIONS_MAX };
  new RuleCheck(report, budget).rule(rule, path, 0);
  if (budget.conditionsLeft >= 0) return;
  report({
    code: "GL0111",
    path,
    says: `must have at most ${RULE_CONDITIONS_MAX} conditions`,
    remedy: "Put values of one operand into one condition with the operator in.",
  });
}

class RuleCheck {
  readonly #report: Report;
  readonly #budget: { conditionsLeft: number };

  constructor(report: Report, budget: { conditionsLeft: number }) {
    this.#report = report;
    this.#budget = budget;
  }

  rule(rule: unknown, path: Path, depth: number): void {
    this.#budget.conditionsLeft -= 1;
    if (this.#budget.conditionsLeft < 0) return;
    if (!isRecord(rule)) {
      this.#say("GL0103", path, `must be a mapping, is ${shown(rule)}`);
      return;
    }
    const combiner = COMBINERS.find((name) => Object.hasOwn(rule, name));
    if (combiner === undefined) this.#condition(rule, path);
    else this.#combiner({ rule, combiner, path, depth });
  }

  #combiner(given: {
    readonly rule: Readonly<Record<string, unknown>>;
    readonly combiner: (typeof COMBINERS)[number];
    readonly path: Path;
    readonly depth: number;
  }): void {
    const { rule, combiner, path, depth } = given;
    const others = Object.keys(rule).filter((name) => name !== combiner);
    if (others.length > 0) {
      this.#say(
        "GL0114",
        path,
        `has ${combiner} and ${others.join(" and ")}; ${combiner} stands alone`,
        "Nest the one in the other, or put both into a list under all or any.",
      );
    }
    if (depth >= RULE_DEPTH_MAX) {
      this.#say("GL0111", path, `nests more than ${RULE_DEPTH_MAX} levels deep`);
      return;
    }
    const inner = rule[combiner];
    if (combiner === "not") {
      this.rule(inner, [...path, "not"], depth + 1);
    } else if (!Array.isArray(inner)) {
      this.#say("GL0103", [...path, combiner], `must be a list, is ${shown(inner)}`);
    } else if (inner.length === 0) {
      this.#say("GL0111", [...path, combiner], "must not be empty", "Add a condition.");
    } else {
      inner.forEach((item: unknown, index) => {
        this.rule(item, [...path, combiner, index], depth + 1);
      });
    }
  }

  #condition(rule: Readonly<Record<string, unknown>>, path: Path): void {
    const known: readonly string[] = [...NAMED_OPERANDS, ...PLAIN_OPERANDS];
    for (const name of Object.keys(rule)) this.#field(name, known, path);
    const operands = known.filter((name) => Object.hasOwn(rule, name));
    if (operands.length !== 1) {
      const has = operands.length === 0 ? "has none" : `has ${operands.join(" and ")}`;
      this.#say(
        "GL0114",
        path,
        `needs exactly one of ${[...known, ...COMBINERS].join(", ")}, ${has}`,
        operands.length > 1 ? "Put each into a condition of its own, under all." : "Add one.",
      );
    }
    for (const name of operands) this.#operand(name, rule[name], [...path, name]);
    this.#operator(rule, path);
  }

  #field(name: string, operands: readonly string[], path: Path): void {
    const fields = [...operands, ...CONDITION_FIELDS];
    if (fields.includes(name)) return;
    const near = nearest(name, [...operands, ...CONDITION_FIELDS, ...COMBINERS]);
    const known = near === null ? `Known here: ${fields.join(", ")}.` : `Did you mean ${near}?`;
    const remedy = name === "body" ? "Write bodyJson: PATH or bodyForm: FIELD." : known;
    // An error, not the usual warning: a condition that is not understood must not be left out.
    this.#say("GL0114", [...path, name], "is not a known field of a condition", remedy);
  }

  #operand(name: string, value: unknown, path: Path): void {
    if ((PLAIN_OPERANDS as readonly string[]).includes(name)) {
      if (value === true) return;
      this.#say("GL0103", path, `must be true, is ${shown(value)}`, `Write ${name}: true.`);
      return;
    }
    if (typeof value !== "string") {
      this.#say("GL0103", path, `must be a text, is ${shown(value)}`);
    } else if (value === "") {
      this.#say("GL0111", path, "must not be empty");
    } else if (name === "header" || name === "cookie") {
      this.#format("header-name", value, path);
    } else if (value.length > RULE_TEXT_MAX) {
      this.#say("GL0111", path, `must have at most ${RULE_TEXT_MAX} characters`);
    } else if (name === "workload") this.#workload(value, path);
    else if (name !== "query" && name !== "bodyForm") this.#path(value, path);
  }

  #workload(value: string, path: Path): void {
    const [first, ...more] = parseJsonPath(value) ?? [];
    const field = WORKLOAD_FIELDS.find((name) => name === first);
    if (field !== undefined && more.length === (field === "labels" ? 1 : 0)) return;
    const near = typeof first === "string" ? nearest(first, WORKLOAD_FIELDS) : null;
    this.#say(
      "GL0113",
      path,
      `must be one of ${WORKLOAD_FIELDS.join(", ")}, is ${shown(value)}`,
      near === null || near === first
        ? 'Write e.g. namespace, labels.app or labels["app.kubernetes.io/name"].'
        : `Did you mean ${near}?`,
    );
  }

  #path(value: string, path: Path): void {
    if (parseJsonPath(value) !== null) return;
    this.#say(
      "GL0113",
      path,
      `must be a path to one place, is ${shown(value)}`,
      'Write e.g. user.id, items[0].sku or ["https://shop.example/roles"].',
    );
  }

  #operator(rule: Readonly<Record<string, unknown>>, path: Path): void {
    const { operator } = rule;
    const place = [...path, "operator"];
    if (operator === undefined) {
      this.#say("GL0104", place, "is required", 'Write e.g. operator: "==".');
      return;
    }
    const form = typeof operator === "string" ? VALUE_FORMS[operatorOf(operator)] : undefined;
    if (form === undefined) {
      const near = typeof operator === "string" ? nearest(operator, OPERATORS) : null;
      this.#say(
        "GL0105",
        place,
        `must be one of ${OPERATORS.join(", ")}, is ${shown(operator)}`,
        near === null ? "" : `Did you mean ${near}?`,
      );
      return;
    }
    this.#hash(rule, form, path);
    this.#values(rule, form, path);
  }

  #hash(rule: Readonly<Record<string, unknown>>, form: ValueForm, path: Path): void {
    const { hash } = rule;
    if (hash === undefined) return;
    const place = [...path, "hash"];
    if (form !== "percent") {
      this.#say("GL0114", place, "belongs to the operator percentage only", "Remove it.");
    } else if (typeof hash !== "string" || !(RULE_HASHES as readonly string[]).includes(hash)) {
      const known = RULE_HASHES.join(", ");
      this.#say("GL0105", place, `must be one of ${known}, is ${shown(hash)}`);
    }
  }

  #values(rule: Readonly<Record<string, unknown>>, form: ValueForm, path: Path): void {
    const isList = form === "texts" || form === "networks";
    const name = isList ? "values" : "value";
    const other = isList ? "value" : "values";
    const operator = operatorOf(String(rule["operator"]));
    if (form === "none") {
      for (const field of ["value", "values"]) {
        if (rule[field] === undefined) continue;
        this.#say("GL0114", [...path, field], `has no meaning for the operator ${operator}`);
      }
      return;
    }
    if (rule[other] !== undefined) {
      const want = `the operator ${operator} takes ${name}${isList ? ", a list" : ""}`;
      this.#say("GL0114", [...path, other], `does not belong here: ${want}`);
    }
    const value = rule[name];
    const place = [...path, name];
    if (value === undefined) {
      if (rule[other] === undefined) this.#say("GL0104", place, "is required");
    } else if (isList) this.#list(value, form, place);
    else this.#value(value, form, { rule, path: place });
  }

  #list(value: unknown, form: ValueForm, path: Path): void {
    if (!Array.isArray(value)) {
      this.#say("GL0103", path, `must be a list, is ${shown(value)}`, "Write [one, two].");
      return;
    }
    if (value.length === 0) this.#say("GL0111", path, "must not be empty", "Add an item.");
    if (value.length > RULE_VALUES_MAX) {
      this.#say("GL0111", path, `must have at most ${RULE_VALUES_MAX} items`);
      return;
    }
    value.forEach((item: unknown, index) => {
      const place = [...path, index];
      if (!this.#text(item, place)) return;
      if (form !== "networks" || isNetwork(String(item))) return;
      this.#say(
        "GL0113",
        place,
        `must be an address or a network, is ${shown(item)}`,
        "Write e.g. 10.0.0.0/8 or 2001:db8::/32.",
      );
    });
  }

  #value(
    value: unknown,
    form: ValueForm,
    { rule, path }: { readonly rule: Readonly<Record<string, unknown>>; readonly path: Path },
  ): void {
    switch (form) {
      case "number":
        if (DECIMAL.test(numberText(value))) return;
        this.#say("GL0103", path, `must be a number, is ${shown(value)}`);
        return;
      case "percent":
        this.#percent(value, path);
        return;
      case "regex":
        this.#regex(value, path);
        return;
      case "range":
        if (!this.#text(value, path) || validRange(String(value)) !== null) return;
        this.#say(
          "GL0113",
          path,
          `must be a range of versions, is ${shown(value)}`,
          'Write e.g. ">=2.1.0 <3.0.0".',
        );
        return;
      default:
        if (this.#text(value, path) && rule["header"] !== undefined) {
          this.#format("header-value", String(value), path);
        }
    }
  }

  #percent(value: unknown, path: Path): void {
    const text = numberText(value);
    const percent = Number(text);
    if (DECIMAL.test(text) && Number.isInteger(percent) && percent >= 0 && percent <= PERCENT_MAX) {
      return;
    }
    this.#say(
      "GL0111",
      path,
      `must be a whole number from 0 to ${PERCENT_MAX}, is ${shown(value)}`,
      "The operator counts hundredths. For a finer share give the lane a ratio.",
    );
  }

  #regex(value: unknown, path: Path): void {
    if (!this.#text(value, path)) return;
    const why = regexFault(String(value));
    if (why === null) return;
    this.#say("GL0112", path, `must be a regular expression in RE2's syntax: ${why}`);
  }

  #text(value: unknown, path: Path): boolean {
    if (typeof value !== "string") {
      const remedy =
        typeof value === "number" || typeof value === "boolean"
          ? `Put it in quotation marks: "${String(value)}".`
          : "";
      this.#say("GL0103", path, `must be a text, is ${shown(value)}`, remedy);
      return false;
    }
    if (value.length <= RULE_TEXT_MAX) return true;
    this.#say("GL0111", path, `must have at most ${RULE_TEXT_MAX} characters`);
    return false;
  }

  #format(name: string, value: string, path: Path): void {
    const format = FORMATS[name];
    if (format === undefined || format.accepts(value)) return;
    this.#say("GL0113", path, `must be ${format.want}, is ${shown(value)}`);
  }

  #say(code: Finding["code"], path: Path, says: string, remedy = ""): void {
    this.#report({ code, path, says, remedy });
  }
}

function numberText(value: unknown): string {
  return typeof value === "number" || typeof value === "string" ? String(value) : "";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
