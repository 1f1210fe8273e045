//! One HTTP request with a deadline and a limit on what is read, on the global `fetch`.

import { isIPv4, isIPv6 } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { PullError, reasonOf } from "./pull-fault.ts";

/** For one request with its whole answer. A slow registry sends 64 MiB in it at 1 MiB/s. */
export const REQUEST_TIMEOUT_MS = 60_000;

export interface FetchOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly bytesMax: number;
  readonly clock: Clock;
  /** Aborts the request: the plug-in was deleted, or the process stops. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** Throws a PullError when there is no whole answer; an error status is an answer. */
export async function boundedFetch(url: string, options: FetchOptions): Promise<Answer> {
  const { clock, signal, bytesMax } = options;
  const host = hostOf(url);
  const abort = new AbortController();
  const timer = clock.after(REQUEST_TIMEOUT_MS, () => {
    abort.abort(new Error(`no answer within ${REQUEST_TIMEOUT_MS / 1000} s`));
  });
  const onAbort = (): void => {
    abort.abort();
  };
  signal.addEventListener("abort", onAbort);
  try {
    const response = await fetch(url, {
      signal: abort.signal,
      headers: { "user-agent": "graylane", ...options.headers },
    });
    const bytes = await readBody(response, bytesMax, host);
    return { status: response.status, headers: response.headers, bytes };
  } catch (cause) {
    abort.abort();
    if (cause instanceof PullError) throw cause;
    throw unreachableFault(host, reasonOf(cause));
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

async function readBody(response: Response, bytesMax: number, host: string): Promise<Uint8Array> {
  const length = Number(response.headers.get("content-length") ?? "0");
  if (length > bytesMax) throw tooLarge(host, length, bytesMax);
  const chunks: Uint8Array[] = [];
  let size = 0;
  // The stream of Node's fetch yields Uint8Arrays; its type in lib.dom does not say so.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > bytesMax) throw tooLarge(host, size, bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(host: string, size: number, bytesMax: number): PullError {
  return new PullError(
    "GL0406",
    `${host} sends ${size} bytes or more, the limit is ${bytesMax}`,
    "Build the plug-in with optimisation for size and without debug sections.",
  );
}

function unreachableFault(host: string, reason: string): PullError {
  const isTls = /ssl|tls|wrong version number|certificate/i.test(reason);
  return new PullError(
    "GL0408",
    `${host} cannot be reached: ${reason}`,
    isTls
      ? "A registry with its own certificate needs NODE_EXTRA_CA_CERTS; one without TLS must be " +
          "named in GRAYLANE_INSECURE_REGISTRIES."
      : "It is tried again by itself; check the host's name, the network and the registry.",
    true,
  );
}

export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** `localhost`, 127.0.0.0/8 or ::1, with or without a port. */
export function isLoopbackHost(hostAndPort: string): boolean {
  const host = hostAndPort.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (host === "localhost") return true;
  if (isIPv4(host)) return host.startsWith("127.");
  return isIPv6(host) && /^(?:0*:)*:?0*1$/.test(host);
}
