//! The shape of a raw case, and the frames that most cases put their one oddity into.

import type { HttpFaultCode } from "../../src/http/fault.ts";

/** What one accepted message says; absent keys are not compared. */
export interface Reading {
  readonly method?: string;
  readonly status?: number;
  readonly target?: string;
  readonly authority?: string;
  readonly body?: string;
  readonly keepAlive?: boolean;
  readonly upgrade?: string | null;
  readonly expectContinue?: boolean;
  readonly fields?: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
}

export interface HttpCase {
  readonly clause: string;
  readonly name: string;
  readonly raw: string;
  /** For a response: the method of its request. */
  readonly method?: string;
  readonly want: HttpFaultCode | readonly Reading[];
}

/** A case as it is written in the tables. */
export type Row = readonly [clause: string, name: string, raw: string, want: HttpCase["want"]];

export const HOST = "Host: a.test\r\n";
export const get = (lines: string): string => `GET / HTTP/1.1\r\n${HOST}${lines}\r\n`;
export const target = (text: string, method = "GET"): string =>
  `${method} ${text} HTTP/1.1\r\n${HOST}\r\n`;
export const host = (value: string): string => `GET / HTTP/1.1\r\nHost:${value}\r\n\r\n`;
export const post = (lines: string, body = ""): string =>
  `POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`;
export const chunked = (body: string): string => post("Transfer-Encoding: chunked\r\n", body);
export const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, "0")}`;
export const char = (byte: number): string => String.fromCharCode(byte);
