//! Certificates and keys of transport sockets, towards endpoints and of listeners.

import { X509Certificate, createPrivateKey } from "node:crypto";
import type { Cursor } from "../resources/cursor.ts";
import { readDataSource, unsupported } from "./common.ts";

export interface Pair {
  /** PEM, the chain included. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
}

/** The one pair of `tls_certificates`; null: there is none, or what is there is wrong. */
export function readPair(cursor: Cursor): Pair | null {
  const [first, second] = cursor.isAbsent ? [] : cursor.items();
  if (second !== undefined) unsupported(second, "a second certificate");
  if (first === undefined || !first.isMap(["certificate_chain", "private_key"])) return null;
  const certificate = readPem(first.at("certificate_chain"), (pem) => new X509Certificate(pem));
  const privateKey = readPem(first.at("private_key"), (pem) => createPrivateKey(pem));
  return { certificate, privateKey };
}

export function readPem(cursor: Cursor, check: (pem: string) => unknown): string {
  const pem = readDataSource(cursor);
  try {
    check(pem);
  } catch (error) {
    cursor.wrong(`PEM: ${(error as Error).message}`);
  }
  return pem;
}
