//! Cookies by which a gateway knows a user again whom nothing else tells from the others.

import { randomBytes } from "node:crypto";
import type { IssuedCookie } from "../../lane/cohort.ts";

/** 128 bits: nobody guesses another user's, and no two are equal. */
const ID_BYTES = 16;
/** Cookies that one request may be given: one for each name that lane groups ask for. */
const COOKIES_MAX = 8;

/** What one request is issued, by the cookie's name; groups with one name share the id. */
export class IssuedCookies {
  readonly #issued = new Map<string, { readonly id: string; readonly maxAgeSeconds: number }>();

  /** Undefined: the request has been given too many already. */
  issue({ name, maxAgeSeconds }: IssuedCookie): string | undefined {
    const known = this.#issued.get(name);
    if (known !== undefined) return known.id;
    if (this.#issued.size === COOKIES_MAX) return undefined;
    const id = randomBytes(ID_BYTES).toString("base64url");
    this.#issued.set(name, { id, maxAgeSeconds });
    return id;
  }

  /** Values for `set-cookie`: not for scripts, sent along with links, for every path. */
  *fields(isSecure: boolean): Generator<string> {
    for (const [name, { id, maxAgeSeconds }] of this.#issued) {
      const secure = isSecure ? "; Secure" : "";
      yield `${name}=${id}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure}`;
    }
  }
}
