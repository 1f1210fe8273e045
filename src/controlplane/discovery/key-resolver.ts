//! Keeps the key sets of addresses (`jwksUri`) for Envoys, which ask no issuer themselves.

import type { Clock } from "../../base/clock.ts";
import type { KeySetAnswer, KeySetMap } from "../../compile/key-sets.ts";
import { KeptAnswers } from "./kept-answers.ts";

export interface KeyResolverOptions {
  /** Gives the text of a key set. Rejects when there is none; bounded in time and size. */
  readonly fetchKeys: (uri: string) => Promise<string>;
  readonly clock: Clock;
  /** What is known of some address has changed. */
  readonly onChange: () => void;
}

/** A token of a new key is known after so long. */
export const REFRESH_MS = 60_000;
const KEYS_MAX = 100;
/** Of public keys; whoever has one of the type `oct` could sign. */
const KEY_TYPES: ReadonlySet<unknown> = new Set(["RSA", "EC", "OKP"]);
const UNKNOWN: KeySetAnswer = { jwks: null, fault: "not fetched yet" };

export class KeyResolver {
  readonly #answers: KeptAnswers<KeySetAnswer>;

  constructor({ fetchKeys, clock, onChange }: KeyResolverOptions) {
    this.#answers = new KeptAnswers<KeySetAnswer>({
      lookUp: async (uri) => ({
        answer: { jwks: publicKeys(await fetchKeys(uri)), fault: "" },
        keptMs: REFRESH_MS,
      }),
      failed: ({ jwks }, fault) => ({ jwks, fault }),
      unknown: UNKNOWN,
      ...{ clock, onChange },
    });
  }

  /** What is known of these addresses; all others are forgotten. New ones are waited for. */
  resolve(uris: readonly string[]): Promise<KeySetMap> {
    return this.#answers.resolve(uris);
  }

  stop(): void {
    this.#answers.stop();
  }
}

/** In a settled order: which key stands first changes nothing. Throws when it is no key set. */
function publicKeys(text: string): string {
  const keys = keysOf(text);
  if (keys === null) throw new Error('the answer is no key set: {"keys": [...]}');
  if (keys.length > KEYS_MAX) throw new Error(`the set has more than ${KEYS_MAX} keys`);
  const kept = keys.filter((key) => KEY_TYPES.has(key["kty"]) && !("d" in key));
  if (kept.length === 0) throw new Error("the set has no public key");
  return `{"keys":[${kept
    .map((key) => JSON.stringify(key))
    .sort()
    .join()}]}`;
}

function keysOf(text: string): readonly Readonly<Record<string, unknown>>[] | null {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return null;
  }
  const keys: unknown = (set as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) return null;
  return keys.filter(
    (key): key is Readonly<Record<string, unknown>> => typeof key === "object" && key !== null,
  );
}
