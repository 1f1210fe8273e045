//! Fetches a key set over HTTP, with a deadline and a limit on what is read.

import type { Clock } from "../../base/clock.ts";
import type { KeyFetcher } from "./token-keys.ts";

/** For the whole answer: a request may wait for it. */
const TIMEOUT_MS = 2_000;
const BYTES_MAX = 262_144;

export function keyFetcher(clock: Clock): KeyFetcher {
  return async (uri) => {
    const abort = new AbortController();
    const timer = clock.after(TIMEOUT_MS, () => {
      abort.abort(new Error(`no answer within ${TIMEOUT_MS} ms`));
    });
    try {
      // A redirect could lead anywhere: who moves the keys changes the address.
      const response = await fetch(uri, { signal: abort.signal, redirect: "error" });
      if (response.status !== 200) throw new Error(`the answer's status is ${response.status}`);
      return await textOf(response);
    } finally {
      timer.cancel();
      abort.abort();
    }
  };
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // The stream of Node's fetch yields Uint8Arrays; its type in lib.dom does not say so.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > BYTES_MAX) throw new Error(`the answer has more than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
