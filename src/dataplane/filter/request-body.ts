//! A request's body as the rules of lanes read it: parsed when the first of them asks.
//!
//! Values are wire texts, one character for each byte, as the codec gives header values.

import { parseJsonPath, textAt } from "../../base/json-path.ts";
import type { JsonPathStep } from "../../base/json-path.ts";
import type { Headers } from "../../http/headers.ts";
import { MULTIPART_TYPE, readMultipartForm } from "./multipart-form.ts";
import type { FormFault, MultipartForm } from "./multipart-form.ts";
import { queryValue } from "./request-operands.ts";

/** Paths that rules name, parsed; when there are more, all are parsed anew. */
const PATHS_MAX = 1_000;
const JSON_TYPE = /^(?:application|text)\/(?:[\w.+-]+\+)?json$/;
const FORM_TYPE = "application/x-www-form-urlencoded";

const paths = new Map<string, readonly JsonPathStep[]>();

/** Why nothing can be read of a body; `""`: it can. */
export type BodyFault =
  FormFault | "none" | "too-long" | "encoded" | "no-json" | "no-form" | "a-file";

/** Whether rules could read anything of a body that comes with these headers. */
export function hasReadableBody(headers: Headers): boolean {
  const mediaType = mediaTypeOf(headers);
  const isOfForm = mediaType === FORM_TYPE || mediaType === MULTIPART_TYPE;
  return (isOfForm || JSON_TYPE.test(mediaType)) && !isEncoded(headers);
}

function mediaTypeOf(headers: Headers): string {
  return (headers.get("content-type")?.split(";", 1)[0] ?? "").trim().toLowerCase();
}

function isEncoded(headers: Headers): boolean {
  const encoding = headers.get("content-encoding") ?? "";
  return encoding !== "" && encoding.toLowerCase() !== "identity";
}

export class RequestBody {
  /** Null: it is longer than may be held. */
  readonly #bytes: Buffer | null;
  readonly #isUnread: boolean;
  readonly #contentType: string;
  readonly #mediaType: string;
  readonly #isEncoded: boolean;
  #json: { readonly document: unknown } | null = null;
  #form: string | null = null;
  #parts: MultipartForm | null = null;

  /** `isUnread`: there is one, but nobody waited for it, so that `bytes` is empty. */
  constructor(bytes: Buffer | null, headers: Headers, isUnread = false) {
    this.#bytes = bytes;
    this.#isUnread = isUnread;
    this.#contentType = headers.get("content-type") ?? "";
    this.#mediaType = mediaTypeOf(headers);
    this.#isEncoded = isEncoded(headers);
  }

  json(path: string, bytesMax: number): string | undefined {
    if (!this.#isReadable(bytesMax) || !JSON_TYPE.test(this.#mediaType)) return undefined;
    const document = this.#document();
    const text = document === undefined ? undefined : textAt(document, stepsOf(path));
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  }

  form(name: string, bytesMax: number): string | undefined {
    if (!this.#isReadable(bytesMax)) return undefined;
    if (this.#mediaType === MULTIPART_TYPE) return this.#multipart().fields.get(name);
    if (this.#mediaType !== FORM_TYPE) return undefined;
    this.#form ??= `?${this.#bytes?.toString("latin1") ?? ""}`;
    return queryValue(this.#form, name);
  }

  /** For people who ask why an operand is missing. */
  faultOf(kind: "bodyJson" | "bodyForm", name: string, bytesMax: number): BodyFault {
    if (this.#bytes === null || this.#bytes.length > bytesMax) return "too-long";
    if (this.#bytes.length === 0 && !this.#isUnread) return "none";
    if (this.#isEncoded) return "encoded";
    if (kind === "bodyForm") return this.#formFault(name);
    return JSON_TYPE.test(this.#mediaType) && this.#document() !== undefined ? "" : "no-json";
  }

  #formFault(name: string): BodyFault {
    if (this.#mediaType === FORM_TYPE) return "";
    if (this.#mediaType !== MULTIPART_TYPE) return "no-form";
    const { fault, files } = this.#multipart();
    return fault === "" && files.has(name) ? "a-file" : fault;
  }

  #multipart(): MultipartForm {
    return (this.#parts ??= readMultipartForm(this.#bytes ?? Buffer.alloc(0), this.#contentType));
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
