//! Fields in the shape in which `node:http2` takes them.

import type { OutgoingHttpHeaders } from "node:http2";
import type { Headers } from "./headers.ts";

/**
 * For sessions to upstreams; Node's types do not know it. From Node 22.17 on the library leaves
 * fields with a blank at an end of their value in, so that we can refuse them.
 */
export const FIELDS_WITH_BLANKS = { strictFieldWhitespaceValidation: false } as const;

/** What only HTTP/1.1 says; `te` is written apart (RFC 9113 section 8.2.2). */
export const NOT_IN_HTTP2: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "host",
  "http2-settings",
]);
/** Of these the library takes no second line; a list says the same (RFC 9110 section 5.3). */
const LISTED: ReadonlySet<string> = new Set(["set-cookie", "www-authenticate", "cookie", "via"]);

/** Of several lines with one name only those of `LISTED` names stay apart. */
export function http2Fields(headers: Headers): OutgoingHttpHeaders {
  const fields = Object.create(null) as Record<string, string | string[]>;
  const { names, values } = headers;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    const value = values[index] as string;
    if (NOT_IN_HTTP2.has(name)) continue;
    const before = fields[name];
    if (before === undefined) fields[name] = value;
    else if (!LISTED.has(name)) fields[name] = `${String(before)}, ${value}`;
    else fields[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return fields;
}
