//! Users by a file of tokens, as `--token-auth-file` of a Kubernetes API server has them: lines of
//! CSV (RFC 4180), `token,user,uid,"group1,group2"`, the groups optional.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file>

import { createHash } from "node:crypto";
import { readWhole, RereadFile } from "./reread-file.ts";
import { authenticated, type User } from "./user.ts";

const LINES_MAX = 10_000;
const FIELD_CHARS_MAX = 1_024;
/** As RFC 6750 section 2.1 has them: others cannot be sent. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
const CONTROL = /\p{Cc}/u;

/** Who has a token; null: nobody. */
export interface TokenSource {
  userOf(token: string): User | null;
}

export type Users = ReadonlyMap<string, User>;

/** The users by the digests of their tokens; a text: `FILE:LINE:` and what is wrong there. */
export function parseTokenFile(text: string, path: string): Users | string {
  const users = new Map<string, User>();
  const lines = text.split(/\r?\n/);
  if (lines.length > LINES_MAX) return `${path}: has more than ${LINES_MAX} lines`;
  for (const [at, line] of lines.entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const fields = fieldsOf(line);
    const where = `${path}:${at + 1}`;
    if (typeof fields === "number") {
      return `${where}:${fields}: a quotation mark is not closed, or text stands beside it`;
    }
    const fault = faultOf(fields);
    if (fault !== null) return `${where}:1: ${fault}`;
    const [token = "", name = "", uid = "", groups = ""] = fields;
    const key = digestOf(token);
    if (users.has(key)) return `${where}:1: the token stands in another line, too`;
    const list = groups.split(",").map((group) => group.trim());
    users.set(key, authenticated({ name, uid, groups: list.filter((group) => group !== "") }));
  }
  return users;
}

/** What is wrong with a line, which never tells the token. */
function faultOf(fields: readonly string[]): string | null {
  const [token = "", name = ""] = fields;
  if (fields.length < 3 || fields.length > 4) {
    return `must be token,user,uid or token,user,uid,"group1,group2"; has ${fields.length} fields`;
  }
  if (!TOKEN.test(token)) return "the token must be letters, digits and -._~+/, and is not empty";
  if (name === "") return "the user's name is empty";
  if (fields.some((field) => field.length > FIELD_CHARS_MAX)) {
    return `a field is longer than ${FIELD_CHARS_MAX} characters`;
  }
  return fields.some((field) => CONTROL.test(field)) ? "a field has a control character" : null;
}

/** The fields of one line; a number: the column of a quotation mark that is not right. */
function fieldsOf(line: string): readonly string[] | number {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    while (line[at] === " ") at += 1;
    const match = /^(?:"((?:[^"]|"")*)" *|([^",]*))(?=,|$)/.exec(line.slice(at));
    if (match === null) return at + 1;
    const [whole, quoted, plain = ""] = match;
    fields.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'));
    at += whole.length;
    if (at >= line.length) return fields;
    at += 1;
  }
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** The file as it is now: a token that is taken out of it is refused from then on. */
export class TokenFile implements TokenSource {
  readonly #file: RereadFile<Users>;

  constructor(path: string, onFault: (fault: string) => void) {
    const reading = { parse: parseTokenFile, empty: new Map<string, User>() };
    this.#file = new RereadFile<Users>(path, reading, onFault);
  }

  userOf(token: string): User | null {
    // By its digest: how long it takes tells nothing of a token.
    return this.#file.content().get(digestOf(token)) ?? null;
  }
}

export function readTokenFile(path: string): Users | string {
  return readWhole(path, parseTokenFile);
}
