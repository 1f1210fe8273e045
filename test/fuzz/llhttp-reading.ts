//! What Node's own parser (llhttp, strict) reads of a byte stream: a server of `node:http` that is
//! handed the bytes in one piece, and tells at once what it saw.

import { createServer, METHODS } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { Duplex } from "node:stream";
import { HEAD_BYTES_MAX } from "../../src/http/limits.ts";
import type { KnownDifference, Reading, Seen } from "./http-differential.ts";

/** Before or after `;` or `=`. */
const BLANK_IN_EXTENSION = /\r\n[0-9a-f]+[^\r]*(?:[;=][ \t]|[ \t][;=])/i;

export class LlhttpReader {
  readonly #server: Server;
  #requests: IncomingMessage[] = [];
  #fault = "";

  constructor({ isLenient = false }: { readonly isLenient?: boolean } = {}) {
    this.#server = createServer({
      insecureHTTPParser: isLenient,
      maxHeaderSize: HEAD_BYTES_MAX,
      requireHostHeader: false,
    });
    const keep = (request: IncomingMessage): void => void this.#requests.push(request);
    // The last is for CONNECT alone: without a listener of `upgrade` the rest is a plain request.
    for (const name of ["request", "checkContinue", "checkExpectation", "connect"]) {
      this.#server.on(name, keep);
    }
    this.#server.on("clientError", (error: Error & { readonly code?: string }) => {
      this.#fault ||= error.code ?? error.message;
    });
  }

  read(raw: string): Reading {
    this.#requests = [];
    this.#fault = "";
    const socket = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => {
        done();
      },
    });
    this.#server.emit("connection", socket);
    // Not by way of the stream's buffer: the parser has run when this returns.
    socket.emit("data", Buffer.from(raw, "latin1"));
    const requests = this.#requests;
    const fault = this.#fault;
    const seen = requests.map(seenOf);
    const isOpen = requests.at(-1)?.complete === false && requests.at(-1)?.method !== "CONNECT";
    socket.destroy();
    return {
      messages: isOpen ? seen.slice(0, -1) : seen,
      open: isOpen ? (seen.at(-1) ?? null) : null,
      fault,
      isClosed: hasStopped(requests.at(-1)),
    };
  }
}

/** It takes nothing after a request to upgrade, even if nobody listens for that. */
function hasStopped(last: IncomingMessage | undefined): boolean {
  return last?.complete === true && /upgrade/i.test(last.headers.connection ?? "");
}

function linesOf(raw: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    lines.push(`${(raw[at] ?? "").toLowerCase()}: ${raw[at + 1] ?? ""}`);
  }
  return lines;
}

function seenOf(request: IncomingMessage): Seen {
  const chunk = request.read() as Buffer | null;
  const message = {
    method: request.method ?? "",
    target: request.url ?? "",
    authority: request.headers.host ?? "",
    fields: linesOf(request.rawHeaders).map(shortLength),
    body: chunk?.toString("latin1") ?? "",
    trailers: linesOf(request.rawTrailers),
  };
  return resolved(message);
}

/** Our codec hands a length on in its shortest form. */
function shortLength(line: string): string {
  return line.replace(/^content-length: 0+(?=\d)/, "content-length: ");
}

/** RFC 9112 3.2.2: the authority of a target wins over Host, and takes its place. */
function resolved(message: Seen): Seen {
  const { method, target } = message;
  const parts = /^https?:\/\/([^/?]*)(.*)$/is.exec(target);
  const authority = method === "CONNECT" ? target : parts?.[1];
  if (authority === undefined) return message;
  const rest = parts?.[2] ?? "";
  const path = rest === "" && method === "OPTIONS" ? "*" : rest.startsWith("/") ? rest : `/${rest}`;
  const fields = message.fields.filter((line) => !line.startsWith("host: "));
  const at = message.fields.findIndex((line) => line.startsWith("host: "));
  fields.splice(at === -1 ? fields.length : at, 0, `host: ${authority}`);
  return { ...message, target: method === "CONNECT" ? target : path, authority, fields };
}

/** Where llhttp refuses what the RFCs allow, or does otherwise what we both may. */
export const LLHTTP_DIFFERENCES: readonly KnownDifference[] = [
  {
    reason: /^laxer: HPE_INVALID_METHOD$/,
    holds: ({ method }) => !METHODS.includes(method),
    why: "it knows a list of methods; RFC 9110 9.1 takes any token",
  },
  {
    reason: /^laxer: HPE_INVALID_VERSION$/,
    holds: ({ method }) => method === "PRI",
    why: "it knows PRI of HTTP/2 alone; with HTTP/1.1 it is a token as any other",
  },
  {
    reason: /^laxer: HPE_(INVALID_CHUNK_SIZE|STRICT)$/,
    holds: (_message, raw) => BLANK_IN_EXTENSION.test(raw),
    why: "white space in a chunk extension is legal (RFC 9112 7.1.1)",
  },
  {
    reason: /^laxer: HPE_INVALID_CONTENT_LENGTH$/,
    holds: (_message, raw) => /content-length:[ \t]*[0-9]+ *\t/i.test(raw),
    why: "a tab after a length is white space (RFC 9110 5.6.3)",
  },
  {
    reason: /^laxer: HPE_INVALID_TRANSFER_ENCODING$/,
    holds: (_message, raw) => /transfer-encoding:[ \t]*chunked *\t/i.test(raw),
    why: "a tab after a coding is white space (RFC 9110 5.6.3)",
  },
  {
    reason: /^laxer: HPE_CLOSED_CONNECTION$/,
    holds: (_message, raw) => /proxy-connection:[^\r]*close/i.test(raw),
    why: "it takes Proxy-Connection for Connection; no RFC does",
  },
];
