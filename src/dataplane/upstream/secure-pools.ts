//! The pools of endpoints that are spoken to in TLS with the same settings. New certificates get
//! new pools; the connections of the old ones end with the exchanges that they carry.

import { readFileSync, statSync } from "node:fs";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { DeadlineSweeper } from "../deadlines.ts";
import { PoolSet } from "./pool-set.ts";
import { TlsDial } from "./tls-dial.ts";
import type { UpstreamPool } from "./upstream.ts";

/** Files are looked at again after this long, by the next request. */
export const TLS_FILES_CHECK_INTERVAL_MS = 5_000;

type Named = readonly [field: string, path: string];

export class SecurePools {
  isRetired = false;
  readonly #settings: UpstreamTls;
  readonly #sweeper: DeadlineSweeper;
  #current: PoolSet | null = null;
  /** Those of certificates before, for as long as they have connections. */
  #former: PoolSet[] = [];
  /** Why nothing can be sent; `""`: it can. */
  #fault = "";
  /** What the files were when they were read; null: they have not been. */
  #filesRead: string | null = null;
  #checkDueMs = 0;

  constructor(settings: UpstreamTls, sweeper: DeadlineSweeper) {
    this.#settings = settings;
    this.#sweeper = sweeper;
  }

  get size(): number {
    return this.#sets().reduce((sum, { size }) => sum + size, 0);
  }

  /** A text: why there is none, after the name of the service. */
  pool(address: string, port: number, isHttp2: boolean): UpstreamPool | string {
    this.#renew();
    const set = this.#current;
    if (set === null) return this.#fault;
    return isHttp2 ? set.getHttp2(address, port) : set.get(address, port);
  }

  activeCount(endpoint: { readonly address: string; readonly port: number }): number {
    return this.#sets().reduce((sum, set) => sum + set.activeCount(endpoint), 0);
  }

  closeIdle(): void {
    for (const set of this.#sets()) set.closeIdle();
  }

  /** Nothing asks for these settings any more, but for exchanges that have begun. */
  retire(): void {
    this.isRetired = true;
    this.#current?.retire();
  }

  #sets(): PoolSet[] {
    return this.#current === null ? this.#former : [this.#current, ...this.#former];
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
    const { nowMs } = this.#sweeper;
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
      const dial = new TlsDial(settings, {
        authorities: textOf(["caCertificates", files.authorities ?? ""], settings.authorities),
        certificate: textOf(["clientCertificate", files.certificate ?? ""], settings.certificate),
        privateKey: textOf(["privateKey", files.keyOfCertificate ?? ""], settings.privateKey),
      });
      const set = new PoolSet(this.#sweeper, dial);
      if (this.isRetired) set.retire();
      const old = this.#current;
      old?.retire();
      this.#former = [...this.#former, ...(old === null ? [] : [old])].filter(
        ({ size }) => size > 0,
      );
      this.#current = set;
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
