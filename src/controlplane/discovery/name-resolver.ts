//! Keeps the addresses of names: each is looked up again when its TTL is over.

import type { Clock } from "../../base/clock.ts";
import type { NameAnswer, NameMap } from "../../compile/service-entry.ts";
import { KeptAnswers } from "./kept-answers.ts";

export interface FoundAddresses {
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
}

export interface NameResolverOptions {
  /** Rejects with an error that has a `code`, or a message. */
  readonly lookUp: (name: string) => Promise<FoundAddresses>;
  readonly clock: Clock;
  /** What is known of some name has changed. */
  readonly onChange: () => void;
}

/** A shorter TTL would make every answer a change of configuration. */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 300_000;
/** Of one name; further ones are left out. */
export const ADDRESSES_MAX = 256;

const MS_PER_SECOND = 1_000;
const UNKNOWN: NameAnswer = { addresses: [], fault: "not looked up yet" };

export class NameResolver {
  readonly #answers: KeptAnswers<NameAnswer>;

  constructor({ lookUp, clock, onChange }: NameResolverOptions) {
    this.#answers = new KeptAnswers<NameAnswer>({
      lookUp: async (name) => {
        const { addresses, ttlSeconds } = await lookUp(name);
        if (addresses.length === 0) throw new Error("no address");
        return {
          answer: { addresses: [...new Set(addresses)].sort().slice(0, ADDRESSES_MAX), fault: "" },
          keptMs: Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, ttlSeconds * MS_PER_SECOND)),
        };
      },
      failed: ({ addresses }, fault) => ({ addresses, fault }),
      unknown: UNKNOWN,
      ...{ clock, onChange },
    });
  }

  /** What is known of these names; all others are forgotten. New ones are waited for. */
  resolve(names: readonly string[]): Promise<NameMap> {
    return this.#answers.resolve(names);
  }

  stop(): void {
    this.#answers.stop();
  }
}
