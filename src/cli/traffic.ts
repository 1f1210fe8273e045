//! Requests of an access log, as questions that a gateway can answer again.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { ExplainRequest } from "../api/types.ts";
import { CliError, messageOf } from "./cli-error.ts";

/** Lines that are read; the rest is left out, and said so. */
export const LINES_MAX = 1_000_000;
const LINE_CHARS_MAX = 256 * 1024;
/** Bad lines that are told one by one; the others are counted. */
const BAD_LINES_TOLD_MAX = 10;

export interface TrafficRequest {
  readonly request: ExplainRequest;
  /** Names of the fields that the line tells, lower-case. */
  readonly headers: ReadonlySet<string>;
}

export interface TrafficRead {
  requestCount: number;
  /** Lines of sidecars: the gateway had decided before. */
  hopCount: number;
  badCount: number;
  /** `access.log:17: …`, the first of them. */
  readonly bad: string[];
  isCut: boolean;
}

/** `shown` is the file's name in messages. */
export async function readAccessLog(
  path: string,
  shown: string,
  onRequest: (traffic: TrafficRequest) => Promise<void>,
): Promise<TrafficRead> {
  const read: TrafficRead = { requestCount: 0, hopCount: 0, badCount: 0, bad: [], isCut: false };
  let lineNumber = 0;
  const input = createReadStream(path);
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      lineNumber += 1;
      if (line === "") continue;
      if (lineNumber > LINES_MAX) {
        read.isCut = true;
        break;
      }
      const traffic = parseLine(line);
      if (typeof traffic === "string") {
        read.badCount += 1;
        if (read.bad.length < BAD_LINES_TOLD_MAX)
          read.bad.push(`${shown}:${lineNumber}: ${traffic}`);
      } else if (traffic === null) read.hopCount += 1;
      else {
        read.requestCount += 1;
        await onRequest(traffic);
      }
    }
  } catch (error) {
    throw new CliError(
      `the traffic cannot be read: ${messageOf(error)}`,
      "Name a file that `graylane up --access-log FILE` has written.",
    );
  } finally {
    input.destroy();
  }
  return read;
}

/** A text says what is wrong with the line; null: a line of a sidecar. */
export function parseLine(line: string): TrafficRequest | null | string {
  if (line.length > LINE_CHARS_MAX) return `longer than ${LINE_CHARS_MAX} characters`;
  const entry = objectOf(line);
  if (entry === null) return "no JSON object; is it an access log in the format json?";
  const { role } = entry;
  if (role === "inbound" || role === "outbound") return null;
  if (role !== "gateway") return 'no "role"; is it the access log of this version of Graylane?';
  return gatewayRequest(entry);
}

function gatewayRequest(entry: Record<string, unknown>): TrafficRequest | string {
  const { method, path, authority } = entry;
  if (typeof method !== "string" || method === "") return 'no "method"';
  if (typeof path !== "string" || !path.startsWith("/")) return 'no "path" that begins with /';
  if (typeof authority !== "string" || authority === "") return 'no "authority"';
  const url = `http://${authority}${fromWire(path)}`;
  if (!URL.canParse(url)) return `${url} is no URL`;
  const headers = headersOf(entry);
  if (headers === null) return '"headers" is no object of texts';
  const { rest, remoteAddress } = forwardedOf(entry["forwardedFor"]);
  if (rest !== "") headers.push(["x-forwarded-for", rest]);
  return {
    request: { method, url, headers, ...(remoteAddress === "" ? {} : { remoteAddress }) },
    headers: new Set(["host", "x-forwarded-for", ...headers.map(([name]) => name)]),
  };
}

function objectOf(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** What `--access-log-header` names, and what is logged of every request. */
function headersOf(entry: Record<string, unknown>): [string, string][] | null {
  const { headers = {}, userAgent, requestId } = entry;
  if (typeof headers !== "object" || headers === null) return null;
  const found: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== "string") return null;
    found.push([name, fromWire(value)]);
  }
  const has = (name: string): boolean => found.some(([other]) => other === name);
  if (typeof userAgent === "string" && !has("user-agent")) {
    found.push(["user-agent", fromWire(userAgent)]);
  }
  if (typeof requestId === "string" && !has("x-request-id")) {
    found.push(["x-request-id", fromWire(requestId)]);
  }
  return found;
}

/** The gateway has added the connection's own address at the end. */
function forwardedOf(value: unknown): { readonly rest: string; readonly remoteAddress: string } {
  if (typeof value !== "string") return { rest: "", remoteAddress: "" };
  const comma = value.lastIndexOf(",");
  return { rest: value.slice(0, Math.max(comma, 0)), remoteAddress: value.slice(comma + 1).trim() };
}

/** The log has a character for each byte. */
function fromWire(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
