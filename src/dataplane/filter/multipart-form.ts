//! The fields of a form as browsers send it with files: `multipart/form-data` (RFC 7578).
//!
//! Strict, since the app reads the same bytes with another parser: where two parsers could see
//! different fields, there are none. Values are wire texts, one character for each byte.

/** Parts of one form, files too. */
export const FORM_PARTS_MAX = 1_000;
/** Bytes of the headers of one part. */
export const FORM_PART_HEAD_BYTES_MAX = 8_192;

/** Parameters of one header. */
const PARAMETERS_MAX = 32;

export const MULTIPART_TYPE = "multipart/form-data";

/** Why a form has no fields; `""`: it was read whole. */
export type FormFault = "" | "no-boundary" | "broken-parts" | "too-many-parts" | "long-part-head";

export interface MultipartForm {
  readonly fault: FormFault;
  /** Of several fields of one name the first. */
  readonly fields: ReadonlyMap<string, string>;
  /** Names of parts that are files: no fields, and not held. */
  readonly files: ReadonlySet<string>;
}

/** RFC 2046, 5.1.1. */
const BOUNDARY = /^[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/;
const PARAMETER = /[ \t]*;[ \t]*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~\w-]+)/y;
/** Encodings that change nothing. Others are not sent any more (RFC 7578, 4.7). */
const PLAIN_ENCODING = /^(?:7bit|8bit|binary)[ \t]*$/i;
const HEAD_END = "\r\n\r\n";

/** `contentType` is the header's whole value. */
export function readMultipartForm(bytes: Buffer, contentType: string): MultipartForm {
  const boundary = parametersOf(contentType)?.get("boundary") ?? "";
  if (!BOUNDARY.test(boundary)) return faulty("no-boundary");
  return new PartReader(bytes, boundary).read();
}

function faulty(fault: FormFault): MultipartForm {
  return { fault, fields: new Map(), files: new Set() };
}

class PartReader {
  readonly #bytes: Buffer;
  readonly #boundary: string;
  readonly #fields = new Map<string, string>();
  readonly #files = new Set<string>();

  constructor(bytes: Buffer, boundary: string) {
    this.#bytes = bytes;
    this.#boundary = boundary;
  }

  read(): MultipartForm {
    const first = `--${this.#boundary}\r\n`;
    if (!this.#has(first, 0)) return faulty("broken-parts");
    let position = first.length;
    for (let count = 1; count <= FORM_PARTS_MAX; count += 1) {
      const next = this.#part(position);
      if (typeof next === "string") return faulty(next);
      if (next === null) return { fault: "", fields: this.#fields, files: this.#files };
      position = next;
    }
    return faulty("too-many-parts");
  }

  /** Where the next part begins; null: this was the last. */
  #part(start: number): number | null | FormFault {
    const headEnd = this.#bytes.indexOf(HEAD_END, start, "latin1");
    if (headEnd === -1) return "broken-parts";
    if (headEnd - start > FORM_PART_HEAD_BYTES_MAX) return "long-part-head";
    const part = partOf(this.#bytes.toString("latin1", start, headEnd));
    if (part === null) return "broken-parts";
    const delimiter = `\r\n--${this.#boundary}`;
    const valueStart = headEnd + HEAD_END.length;
    const valueEnd = this.#bytes.indexOf(delimiter, valueStart, "latin1");
    if (valueEnd === -1) return "broken-parts";
    if (part.isFile) this.#files.add(part.name);
    else if (!this.#fields.has(part.name)) {
      this.#fields.set(part.name, this.#bytes.toString("latin1", valueStart, valueEnd));
    }
    const after = valueEnd + delimiter.length;
    if (this.#has("\r\n", after)) return after + 2;
    return this.#isEnd(after) ? null : "broken-parts";
  }

  #isEnd(position: number): boolean {
    const rest = this.#bytes.length - position;
    return rest === 2 ? this.#has("--", position) : rest === 4 && this.#has("--\r\n", position);
  }

  #has(text: string, position: number): boolean {
    return this.#bytes.toString("latin1", position, position + text.length) === text;
  }
}

/** Null: its headers do not say plainly what it is. */
function partOf(head: string): { readonly name: string; readonly isFile: boolean } | null {
  const disposition = dispositionOf(head);
  if (disposition === null || !/^form-data[ \t]*(?:;|$)/i.test(disposition)) return null;
  const parameters = parametersOf(disposition);
  const name = parameters?.get("name");
  // RFC 7578, 4.2: `name*` is not to be sent; who reads it does not agree with who does not.
  if (parameters === null || name === undefined || parameters.has("name*")) return null;
  const isFile = parameters.has("filename") || parameters.has("filename*");
  return { name: plainName(name), isFile };
}

function dispositionOf(head: string): string | null {
  let disposition: string | null = null;
  for (const line of head.split("\r\n")) {
    const [, name = "", value = "\0"] = FIELD_LINE.exec(line) ?? [];
    if (value.includes("\0")) return null;
    const key = name.toLowerCase();
    if (key === "content-transfer-encoding" && !PLAIN_ENCODING.test(value)) return null;
    if (key !== "content-disposition") continue;
    if (disposition !== null) return null;
    disposition = value;
  }
  return disposition;
}

/** Browsers write these three so, and a `%` as it is (HTML, "multipart form data"). */
function plainName(name: string): string {
  if (!name.includes("%")) return name;
  return name.replaceAll(/%22/g, '"').replaceAll(/%0D/gi, "\r").replaceAll(/%0A/gi, "\n");
}

/** Those behind the first word, names lower-case. Null: too many, or one is broken or repeated. */
function parametersOf(value: string): ReadonlyMap<string, string> | null {
  const start = value.indexOf(";");
  const parameters = new Map<string, string>();
  if (start === -1) return parameters;
  PARAMETER.lastIndex = value.slice(0, start).trimEnd().length;
  for (;;) {
    const position = PARAMETER.lastIndex;
    const found = PARAMETER.exec(value);
    if (found === null) {
      return /^[ \t]*;?[ \t]*$/.test(value.slice(position)) ? parameters : null;
    }
    const [, name = "", text = ""] = found;
    const key = name.toLowerCase();
    if (parameters.has(key) || parameters.size === PARAMETERS_MAX) return null;
    const isQuoted = text.startsWith('"');
    parameters.set(key, isQuoted ? text.slice(1, -1).replaceAll(/\\(["\\])/g, "$1") : text);
  }
}
