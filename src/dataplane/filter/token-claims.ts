//! The claims of a request's token, as far as it has been verified.

import { textAt } from "../../base/json-path.ts";
import type { TokenSettings } from "../../snapshot/snapshot.ts";
import type { TokenOutcome } from "../runtime/token-verifier.ts";
import { stepsOf } from "./request-body.ts";
import type { EditableRequest } from "./request-header-map.ts";
import { cookieValue, queryValue } from "./request-operands.ts";

export class TokenClaims {
  #outcome: TokenOutcome = { claims: null, fault: "the request has no token" };

  take(outcome: TokenOutcome): void {
    this.#outcome = outcome;
  }

  /** As wire text; undefined unless the token has been verified and has it. */
  claim(path: string): string | undefined {
    const { claims } = this.#outcome;
    if (claims === null) return undefined;
    const text = textAt(claims, stepsOf(path));
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  }

  /** `""` when there are claims, of which one may still be missing. */
  get fault(): string {
    return this.#outcome.fault;
  }
}

/**
 * The token where the settings say that it stands, without the scheme `Bearer`; else null. Of two
 * fields of a header nobody can say which one counts (to Envoy they are one).
 */
export function tokenOf(request: EditableRequest, from: TokenSettings["from"]): string | null {
  const text = textOf(request, from);
  if (text === undefined) return null;
  if (from.kind !== "header") return text;
  const [, token = null] = /^bearer +(\S+)$/i.exec(text) ?? [];
  return from.name === "authorization" ? token : (token ?? text);
}

function textOf(
  request: EditableRequest,
  { kind, name }: TokenSettings["from"],
): string | undefined {
  if (kind === "header") {
    const [text, ...others] = request.headers.getAll(name);
    return others.length > 0 ? undefined : text;
  }
  return kind === "cookie" ? cookieValue(request, name) : queryValue(request.target, name);
}
