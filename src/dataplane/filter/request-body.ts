//! A request's body as the rules of lanes read it: parsed when the first of them asks.
//!
//! Values are wire texts, one character for each byte, as the codec gives header values.

import { parseJsonPath, textAt } from "../../base/json-path.ts";
import type { JsonPathStep } from "../../base/json-path.ts";
import type { Headers } from "../../http/headers.ts";
import { queryValue } from "./request-operands.ts";

/** Paths that rules name, parsed; when there are more, all are parsed anew. */
const PATHS_MAX = 1_000;
const JSON_TYPE = /^(?:application|text)\/(?:[\w.+-]+\+)?json$/;
const FORM_TYPE = "application/x-www-form-urlencoded";

const paths = new Map<string, readonly JsonPathStep[]>();

/** Why nothing can be read of a body; `""`: it can. */
export type BodyFault = "" | "none" | "too-long" | "encoded" | "no-json" | "no-form";

export class RequestBody {
  /** Null: it is longer than may be held. */
  readonly #bytes: Buffer | null;
  readonly #mediaType: string;
  readonly #isEncoded: boolean;
  #json: { readonly document: unknown } | null = null;
  #form: string | null = null;

  constructor(bytes: Buffer | null, headers: Headers) {
    this.#bytes = bytes;
    const type = headers.get("content-type") ?? "";
    this.#mediaType = (type.split(";", 1)[0] ?? "").trim().toLowerCase();
    const encoding = headers.get("content-encoding") ?? "";
    this.#isEncoded = encoding !== "" && encoding.toLowerCase() !== "identity";
  }

  json(path: string, bytesMax: number): string | undefined {
    if (!this.#isReadable(bytesMax) || !JSON_TYPE.test(this.#mediaType)) return undefined;
    const document = this.#document();
    const text = document === undefined ? undefined : textAt(document, stepsOf(path));
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  }

  form(name: string, bytesMax: number): string | undefined {
    if (!this.#isReadable(bytesMax) || this.#mediaType !== FORM_TYPE) return undefined;
    this.#form ??= `?${this.#bytes?.toString("latin1") ?? ""}`;
    return queryValue(this.#form, name);
  }

  /** For people who ask why an operand is missing. */
  faultOf(kind: "bodyJson" | "bodyForm", bytesMax: number): BodyFault {
    if (this.#bytes === null || this.#bytes.length > bytesMax) return "too-long";
    if (this.#bytes.length === 0) return "none";
    if (this.#isEncoded) return "encoded";
    if (kind === "bodyForm") return this.#mediaType === FORM_TYPE ? "" : "no-form";
    return JSON_TYPE.test(this.#mediaType) && this.#document() !== undefined ? "" : "no-json";
  }

  #isReadable(bytesMax: number): boolean {
    return this.#bytes !== null && this.#bytes.length <= bytesMax && !this.#isEncoded;
  }

  /** Undefined when it is no JSON. */
  #document(): unknown {
    this.#json ??= { document: parseJson(this.#bytes?.toString("utf8") ?? "") };
    return this.#json.document;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Of a path that a rule names. */
export function stepsOf(path: string): readonly JsonPathStep[] {
  const known = paths.get(path);
  if (known !== undefined) return known;
  if (paths.size === PATHS_MAX) paths.clear();
  const steps = parseJsonPath(path) ?? [];
  paths.set(path, steps);
  return steps;
}
