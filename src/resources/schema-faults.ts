//! The second pass: JSON Schema by ajv, its findings turned into sentences.

import { Ajv } from "ajv";
import type { ErrorObject, ValidateFunction } from "ajv";
import type { TSchema } from "typebox";
import { FORMATS, regexFault } from "./formats.ts";
import { ANNOTATIONS } from "./kinds/fields.ts";
import type { Finding, Path } from "./kinds/kind.ts";
import { member } from "./kinds/member.ts";
import { pathOfPointer } from "./path-text.ts";

/** A finding and whether its place is the key or the value at the path. */
export interface SchemaFinding extends Finding {
  readonly part: "key" | "value";
}

const SHOWN_MAX = 60;
const REASON_LENGTH_MAX = 120;

let shared: Ajv | undefined;
const compiled = new WeakMap<TSchema, ValidateFunction>();

/** Everything in which `value` differs from the schema. The schema is compiled at first use. */
export function schemaFindings(schema: TSchema, value: unknown): SchemaFinding[] {
  const validate = validatorOf(schema);
  if (validate(value)) return [];
  const found: Placed[] = [];
  for (const error of validate.errors ?? []) {
    const placed = place(error, value);
    if (placed !== null) found.push(placed);
  }
  return withoutEchoes(found).map(({ finding }) => finding);
}

function validatorOf(schema: TSchema): ValidateFunction {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    shared ??= makeAjv();
    validate = shared.compile(schema);
    compiled.set(schema, validate);
  }
  return validate;
}

function makeAjv(): Ajv {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false });
  for (const word of ANNOTATIONS) ajv.addKeyword(word);
  for (const [name, format] of Object.entries(FORMATS)) ajv.addFormat(name, format.accepts);
  ajv.addKeyword({
    keyword: "exactlyOneOf",
    type: "object",
    validate: (names: readonly string[], value: object) => given(names, value).length === 1,
  });
  ajv.addKeyword({
    keyword: "atMostOneOf",
    type: "object",
    validate: (names: readonly string[], value: object) => given(names, value).length <= 1,
  });
  ajv.addKeyword({
    keyword: "uniqueBy",
    type: "array",
    validate: (names: readonly string[], value: readonly unknown[]) =>
      repeated(names, value) === null,
  });
  return ajv;
}

function given(names: readonly string[], value: object): string[] {
  return names.filter((name) => Object.hasOwn(value, name));
}

/** The first item that agrees with an earlier one in all the fields, and that earlier one. */
function repeated(
  names: readonly string[],
  list: readonly unknown[],
): { readonly index: number; readonly earlier: number; readonly identity: string } | null {
  const seen = new Map<string, number>();
  for (const [index, item] of list.entries()) {
    const values = names.map((name) => member(item, name));
    if (values[0] === undefined) continue;
    const identity = names
      .map((name, at) => (values[at] === undefined ? "" : `${name} ${shown(values[at])}`))
      .filter((part) => part !== "")
      .join(", ");
    const earlier = seen.get(identity);
    if (earlier !== undefined) return { index, earlier, identity };
    seen.set(identity, index);
  }
  return null;
}

interface Placed {
  readonly pointer: string;
  readonly keyword: string;
  readonly finding: SchemaFinding;
}

/** A value of the wrong type breaks other rules too, and an empty text its form: say it once. */
function withoutEchoes(found: readonly Placed[]): Placed[] {
  const wrongType = new Set(
    found.filter((each) => each.keyword === "type").map((each) => each.pointer),
  );
  const tooShort = new Set(
    found.filter((each) => each.keyword === "minLength").map((each) => each.pointer),
  );
  return found.filter(({ keyword, pointer }) => {
    if (keyword === "type") return true;
    if (wrongType.has(pointer)) return false;
    return keyword === "minLength" || !tooShort.has(pointer);
  });
}

type Sayer = (error: ErrorObject, path: Path) => Partial<SchemaFinding> | null;

function place(error: ErrorObject, root: unknown): Placed | null {
  const path = pathOfPointer(error.instancePath, root);
  const sayer = SAYERS[error.keyword];
  const said = sayer === undefined ? { says: error.message ?? "is not valid" } : sayer(error, path);
  if (said === null) return null;
  const finding: SchemaFinding = {
    code: "GL0103",
    path,
    says: "",
    remedy: "",
    part: "value",
    ...said,
  };
  return { pointer: error.instancePath, keyword: error.keyword, finding };
}

/** One per JSON Schema keyword that our schemas use. */
const SAYERS: Readonly<Record<string, Sayer>> = {
  type: (error) => wrongType(error),
  required: (error, path) => {
    const name = (error.params as { missingProperty: string }).missingProperty;
    return { code: "GL0104", path: [...path, name], says: "is required" };
  },
  enum: (error) => ({
    code: "GL0105",
    says: `must be ${oneOfText(error.schema as readonly unknown[])}, is ${shown(error.data)}`,
  }),
  minimum: (error) => ({
    code: "GL0111",
    says: `must be at least ${String(error.schema)}, is ${shown(error.data)}`,
  }),
  maximum: (error) => ({
    code: "GL0111",
    says: `must be at most ${String(error.schema)}, is ${shown(error.data)}`,
  }),
  minLength: () => ({ code: "GL0111", says: "must not be empty" }),
  minItems: () => ({ code: "GL0111", says: "must not be empty", remedy: "Add an item." }),
  maxItems: (error) => ({
    code: "GL0111",
    says: `must have at most ${String(error.schema)} items`,
  }),
  format: (error, path) => wrongForm(error, path),
  // The error of the inner rule says more.
  propertyNames: () => null,
  exactlyOneOf: (error) => exclusion(error, "exactly one"),
  atMostOneOf: (error) => exclusion(error, "at most one"),
  uniqueBy: (error, path) => {
    const found = repeated(error.schema as readonly string[], error.data as readonly unknown[]);
    if (found === null) return null;
    return {
      code: "GL0115",
      path: [...path, found.index],
      says: `repeats ${found.identity} of item ${found.earlier}`,
      remedy: "Remove one of the two, or tell them apart.",
    };
  },
};

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  object: "a mapping",
  array: "a list",
};

function wrongType(error: ErrorObject): Partial<SchemaFinding> {
  const types = [error.schema].flat().map(String);
  const want = types.map((type) => TYPE_WORDS[type] ?? type).join(" or ");
  return {
    says: `must be ${want}, is ${shown(error.data)}`,
    remedy: typeRemedy(types, error.data),
  };
}

function typeRemedy(types: readonly string[], value: unknown): string {
  if (types.includes("string") && (typeof value === "number" || typeof value === "boolean")) {
    return `Put it in quotation marks: "${String(value)}".`;
  }
  const isNumber = types.includes("integer") || types.includes("number");
  if (isNumber && typeof value === "string" && /^-?\d+$/.test(value)) {
    return "Remove the quotation marks.";
  }
  if (types.includes("array")) return 'Write a list: its items start with "- ".';
  return "";
}

function wrongForm(error: ErrorObject, path: Path): Partial<SchemaFinding> {
  const name = (error.params as { format: string }).format;
  const format = FORMATS[name];
  const key = error.propertyName;
  const value = key ?? error.data;
  const place = key === undefined ? { path } : { path: [...path, key], part: "key" as const };
  if (format === undefined) return { ...place, says: `must be a ${name}` };
  if (name === "re2") {
    const why = (regexFault(String(value)) ?? "").slice(0, REASON_LENGTH_MAX);
    return {
      ...place,
      code: "GL0112",
      says: `must be a regular expression in RE2's syntax: ${why}`,
    };
  }
  if (key !== undefined) {
    return {
      ...place,
      code: codeOfForm(format.code, place.path),
      says: `has the key ${shown(key)}, which must be ${format.want}`,
      remedy: format.remedy,
    };
  }
  return {
    ...place,
    code: codeOfForm(format.code, place.path),
    says: `must be ${format.want}, is ${shown(value)}`,
    remedy: format.remedy,
  };
}

/** The same form has another code where it is the object's own namespace. */
function codeOfForm(code: string, path: Path): string {
  if (path[0] === "metadata" && path[1] === "namespace") return "GL0109";
  if (code === "GL0108" && path[0] !== "metadata") return "GL0113";
  return code;
}

function exclusion(error: ErrorObject, count: string): Partial<SchemaFinding> {
  const names = error.schema as readonly string[];
  const present = given(names, error.data as object);
  const has = present.length === 0 ? "has none" : `has ${present.join(" and ")}`;
  return {
    code: "GL0114",
    says: `needs ${count} of ${names.join(", ")}, ${has}`,
    remedy: present.length > 1 ? "Keep one of them." : "Add one of them.",
  };
}

function oneOfText(values: readonly unknown[]): string {
  const texts = values.map(String);
  if (texts.length === 1) return texts.join("");
  return `one of ${texts.join(", ")}`;
}

/** A value as it stands in a sentence: short, on one line, escaped. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  const text = JSON.stringify(value);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}
