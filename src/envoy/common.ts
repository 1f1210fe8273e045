//! What all parts of Envoy's configuration have in common: codes, spelling, addresses, durations.

import { readFileSync } from "node:fs";
import type { Cursor } from "../resources/cursor.ts";

/** A value that is wrong, and a field or value that this engine does not have. */
export const ENVOY_CODES = { wrong: "GL0621", unknown: "GL0622" } as const;
const NO_EFFECT = "GL0623";

export interface Address {
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** Protocol buffers' JSON allows `routeConfig` beside `route_config`. */
export function fieldName(written: string): string {
  return written.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Envoy reads the words of enumerations in any case: `type: static`. */
export function choiceWord(written: string): string {
  return written.toUpperCase().replaceAll("-", "_");
}

export function unsupported(cursor: Cursor, what: string, remedy = ""): void {
  cursor.fault(ENVOY_CODES.unknown, `${cursor.place}: ${what} is not supported`, remedy);
}

/** A part that means nothing here, and harms nothing: only its fields' names are checked. */
export function isAnything(cursor: Cursor, known: readonly string[]): void {
  if (!cursor.isAbsent) cursor.isMap(known);
}

/** Fields of Envoy's that change nothing here, and without which requests go the same way. */
export function warnOf(cursor: Cursor, names: readonly string[]): void {
  for (const name of names) {
    const field = cursor.at(name);
    if (field.isAbsent) continue;
    field.fault(NO_EFFECT, `${field.place} has no effect`, "", "key");
  }
}

/** `address: {socket_address: {address, port_value}}`. */
export function readSocketAddress(cursor: Cursor): Address {
  if (!cursor.isMap(["socket_address"])) return { host: "", port: 1 };
  const socket = cursor.at("socket_address");
  if (!socket.isMap(["protocol", "address", "port_value", "ipv4_compat"])) {
    return { host: "", port: 1 };
  }
  socket.at("protocol").choice(["TCP"], "TCP");
  const host = socket.at("address").text(null);
  return { host, port: socket.at("port_value").count({ least: 1, most: PORT_MAX }, null) };
}

/** `1.5s` in milliseconds. */
export function readDuration(cursor: Cursor, fallbackMs: number): number {
  if (cursor.isAbsent) return fallbackMs;
  const text = typeof cursor.value === "string" ? cursor.value : "";
  const seconds = /^(\d{1,9}(?:\.\d{1,9})?)s$/.exec(text)?.[1];
  if (seconds !== undefined) return Number(seconds) * 1_000;
  cursor.wrong('a duration such as "0.25s"');
  return fallbackMs;
}

/** Envoy's `DataSource` as text; absent: none. */
export function readDataSource(cursor: Cursor): string {
  if (cursor.isAbsent) return "";
  if (!cursor.isMap(["inline_string", "inline_bytes", "filename"])) return "";
  const encoded = cursor.at("inline_bytes");
  if (!encoded.isAbsent) return Buffer.from(encoded.text(), "base64").toString();
  const filename = cursor.at("filename");
  if (filename.isAbsent) return cursor.at("inline_string").text();
  try {
    return readFileSync(filename.text(), "utf8");
  } catch (error) {
    filename.wrong(`a file that can be read: ${(error as Error).message}`);
    return "";
  }
}

/** The last part of a type's name: `type.googleapis.com/envoy….v3.Wasm` is `envoy….v3.Wasm`. */
export function typeOf(cursor: Cursor): string {
  return cursor.text("").replace(/^.*\//, "");
}

const TYPED_STRUCT = /^(udpa\.type\.v1|xds\.type\.v3)\.TypedStruct$/;

/** A message with its type: plain, or as a TypedStruct of older files. */
export interface TypedConfig {
  readonly type: string;
  readonly config: Cursor;
  /** Fields of the wrapping that stand beside those of the message. */
  readonly fields: readonly string[];
}

export function unwrap(cursor: Cursor): TypedConfig {
  const type = typeOf(cursor.at("@type"));
  if (!TYPED_STRUCT.test(type)) return { type, config: cursor, fields: ["@type"] };
  cursor.isMap(["@type", "type_url", "value"]);
  return { type: typeOf(cursor.at("type_url")), config: cursor.at("value"), fields: [] };
}
