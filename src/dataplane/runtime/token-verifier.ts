//! Verifies the tokens (JWT, RFC 7519) of requests, so that rules can read their claims.
//!
//! A token that has been verified is known again without any work until it expires, so that a
//! client waits for its first request at most. What is not verified has no claims.

import { errors, jwtVerify } from "jose";
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import { dateOf } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { TOKEN_ALGORITHMS, TOKEN_CHARS_MAX } from "../../snapshot/snapshot.ts";
import type { TokenSettings } from "../../snapshot/snapshot.ts";
import { isWellFormed } from "./token-form.ts";
import type { TokenKeys } from "./token-keys.ts";
import { resolverOf } from "./token-keys.ts";

/** Verified tokens that are remembered; the oldest goes. */
const TOKENS_KNOWN_MAX = 1_024;
/** Tokens that are being verified at one time; of more, the claims are missing. */
const TOKENS_PENDING_MAX = 256;
const MS_PER_SECOND = 1_000;

/** `fault`, for people, is `""` when there are claims. It never holds any part of a token. */
export interface TokenOutcome {
  readonly claims: JWTPayload | null;
  readonly fault: string;
}

export class TokenVerifier {
  readonly #settings: TokenSettings;
  readonly #clock: Clock;
  readonly #inline: JWTVerifyGetKey | null;
  readonly #keys: TokenKeys | null;
  readonly #known = new Map<string, TokenOutcome>();
  readonly #pending = new Map<string, Promise<TokenOutcome>>();
  #generation = 0;

  /** `keys` is null when the settings hold the keys themselves. */
  constructor(settings: TokenSettings, keys: TokenKeys | null, clock: Clock) {
    this.#settings = settings;
    this.#keys = keys;
    this.#clock = clock;
    this.#inline = settings.keys.kind === "inline" ? resolverOf(settings.keys.jwks) : null;
  }

  get source(): TokenSettings["from"] {
    return this.#settings.from;
  }

  /** Where keys are fetched: begins to, so that they are there when the first token comes. */
  warmUp(): void {
    void this.#keys?.fetch();
  }

  /** What can be said at once; null: it has to be verified. */
  known(token: string): TokenOutcome | null {
    this.#keys?.renew();
    this.#forgetOlder();
    const known = this.#known.get(token);
    if (known === undefined) return token.length > TOKEN_CHARS_MAX ? faulty("too long") : null;
    const expiresMs = (known.claims?.exp ?? Infinity) * MS_PER_SECOND;
    if (this.#clock.nowMs() < expiresMs) return known;
    this.#known.delete(token);
    return faulty("expired");
  }

  /** Never rejects. */
  verify(token: string): Promise<TokenOutcome> {
    const pending = this.#pending.get(token);
    if (pending !== undefined) return pending;
    if (this.#pending.size === TOKENS_PENDING_MAX) {
      return Promise.resolve(faulty("not verified: too many are being verified"));
    }
    const verified = this.#verify(token).finally(() => {
      this.#pending.delete(token);
    });
    this.#pending.set(token, verified);
    return verified;
  }

  async #verify(token: string): Promise<TokenOutcome> {
    let outcome = await this.#tryKeys(token);
    if (outcome.needsKeys) {
      const fetched = this.#keys?.fetch() ?? null;
      if (fetched !== null) {
        await fetched;
        outcome = await this.#tryKeys(token);
      }
    }
    if (outcome.claims !== null) this.#remember(token, outcome);
    return outcome;
  }

  /** What was verified with other keys than those of now. */
  #forgetOlder(): void {
    const generation = this.#keys?.generation ?? 0;
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#known.clear();
  }

  #remember(token: string, { claims, fault }: TokenOutcome): void {
    this.#forgetOlder();
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < TOKENS_KNOWN_MAX) break;
      this.#known.delete(oldest);
    }
    this.#known.set(token, { claims, fault });
  }

  async #tryKeys(token: string): Promise<TokenOutcome & { readonly needsKeys: boolean }> {
    if (!isWellFormed(token)) {
      return { ...faulty("no JWT that can be verified"), needsKeys: false };
    }
    const resolve = this.#inline ?? this.#keys?.resolve ?? null;
    if (resolve === null) {
      return { ...faulty(`not verified: ${this.#keys?.fault ?? ""}`), needsKeys: true };
    }
    const { issuer, audiences } = this.#settings;
    try {
      const { payload } = await jwtVerify(token, resolve, {
        algorithms: [...TOKEN_ALGORITHMS],
        currentDate: dateOf(this.#clock.nowMs()),
        ...(issuer === undefined ? {} : { issuer }),
        ...(audiences === undefined ? {} : { audience: [...audiences] }),
      });
      return { claims: payload, fault: "", needsKeys: false };
    } catch (error) {
      return { ...faulty(faultOf(error)), needsKeys: error instanceof errors.JWKSNoMatchingKey };
    }
  }
}

function faulty(what: string): TokenOutcome {
  return { claims: null, fault: `the token is ${what}` };
}

/** The messages of the library speak of tokens in general, never of this one's text. */
function faultOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return "signed by an algorithm that is not accepted";
  }
  if (error instanceof errors.JWKSNoMatchingKey) return "signed by a key that is not known";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "not signed by the issuer";
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `not for here: the claim ${error.claim} does not fit`;
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "without the id of its key (kid)";
  return "no JWT that can be verified";
}
