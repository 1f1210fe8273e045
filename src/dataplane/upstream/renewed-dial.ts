//! The certificates of one set of TLS settings, read again when their files have changed.

import { readFileSync, statSync } from "node:fs";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import { TlsDial } from "./tls-dial.ts";

/** Files are looked at again after this long, by whoever connects next. */
export const TLS_FILES_CHECK_INTERVAL_MS = 5_000;

type Named = readonly [field: string, path: string];

export class RenewedDial {
  readonly #settings: UpstreamTls;
  readonly #nowMs: () => number;
  #current: TlsDial | null = null;
  /** Why nothing can be sent; `""`: it can. */
  #fault = "";
  /** What the files were when they were read; null: they have not been. */
  #filesRead: string | null = null;
  #checkDueMs = 0;

  constructor(settings: UpstreamTls, nowMs: () => number) {
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  /** Another one when there are new certificates. A text: why there is none, after a name. */
  get(): TlsDial | string {
    this.#renew();
    return this.#current ?? this.#fault;
  }

  #renew(): void {
    const { files, fault } = this.#settings;
    if (fault !== undefined) {
      this.#fault = `cannot be reached in TLS: ${fault}`;
      return;
    }
    if (files === undefined) {
      if (this.#current === null && this.#fault === "") this.#load();
      return;
    }
    const nowMs = this.#nowMs();
    if (nowMs < this.#checkDueMs) return;
    this.#checkDueMs = nowMs + TLS_FILES_CHECK_INTERVAL_MS;
    const found = this.#lookAtFiles();
    if (found === this.#filesRead) return;
    if (this.#load()) this.#filesRead = found;
  }

  /** What cannot be used does not replace what can: it may be half-written. */
  #load(): boolean {
    const settings = this.#settings;
    const { files = {} } = settings;
    try {
      this.#current = new TlsDial(settings, {
        authorities: textOf(["caCertificates", files.authorities ?? ""], settings.authorities),
        certificate: textOf(["clientCertificate", files.certificate ?? ""], settings.certificate),
        privateKey: textOf(["privateKey", files.keyOfCertificate ?? ""], settings.privateKey),
      });
      return true;
    } catch (error) {
      this.#fault = `cannot be reached in TLS: ${faultOf(error)}`;
      return false;
    }
  }

  #lookAtFiles(): string {
    return Object.values(this.#settings.files ?? {})
      .map((path: string) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat === undefined ? "" : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
      })
      .join();
  }
}

class UnreadableFile extends Error {}

function textOf([field, path]: Named, otherwise: string): string {
  if (path === "") return otherwise;
  try {
    const text = readFileSync(path, "latin1");
    if (text.includes("-----BEGIN ")) return text;
  } catch (error) {
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw new UnreadableFile(`${field}: cannot read ${path} (${code})`);
  }
  throw new UnreadableFile(`${field}: ${path} has nothing in PEM`);
}

/** OpenSSL's own words may quote what it read: only its code is told. */
function faultOf(error: unknown): string {
  if (error instanceof UnreadableFile) return error.message;
  const { code = "unknown" } = error as NodeJS.ErrnoException;
  return `the certificate or key cannot be used (${code})`;
}
