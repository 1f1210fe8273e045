//! The four forms of a request target (RFC 9112 section 3.2), brought to one: origin-form with an
//! authority beside it.

import type { HttpFaultCode } from "./fault.ts";
import { COLON, isAuthority } from "./syntax.ts";

export interface ResolvedTarget {
  /** Origin-form, `*`, or (CONNECT) authority-form. */
  readonly target: string;
  /** Of absolute-form and authority-form; null when the Host field says it. */
  readonly authority: string | null;
  /** `http` or `https` of absolute-form, else null. */
  readonly scheme: string | null;
}

const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*)(.*)$/;
const PORT_AT_END = /:[0-9]+$/;

/** Is a checked `authority` without a host (RFC 9110 4.2.1: must be rejected for http)? */
export function isHostEmpty(authority: string): boolean {
  return authority.length === 0 || authority.charCodeAt(0) === COLON;
}

/** Resolves `target`; a string answer is the code of a fault. */
export function resolveTarget(method: string, target: string): ResolvedTarget | HttpFaultCode {
  if (method === "CONNECT") return resolveConnect(target);
  if (target.startsWith("/")) return { target, authority: null, scheme: null };
  if (target === "*") {
    return method === "OPTIONS" ? { target, authority: null, scheme: null } : "bad_target_form";
  }
  return resolveAbsolute(method, target);
}

/** `uri-host ":" port`, both present (RFC 9112 3.2.3, RFC 9110 9.3.6). */
function resolveConnect(target: string): ResolvedTarget | HttpFaultCode {
  const isRight = isAuthority(target) && PORT_AT_END.test(target) && !isHostEmpty(target);
  return isRight ? { target, authority: target, scheme: null } : "bad_target_form";
}

function resolveAbsolute(method: string, target: string): ResolvedTarget | HttpFaultCode {
  const match = ABSOLUTE.exec(target);
  if (match === null) return "bad_target_form";
  const [, schemeText = "", authority = "", rest = ""] = match;
  const scheme = schemeText.toLowerCase();
  if (scheme !== "http" && scheme !== "https") return "unsupported_scheme";
  if (!isAuthority(authority) || isHostEmpty(authority)) return "bad_target";
  return { target: originOf(method, rest), authority, scheme };
}

/** The path and query of an absolute target in origin-form (RFC 9112 3.2.1 and 3.2.4). */
function originOf(method: string, rest: string): string {
  if (rest.startsWith("/")) return rest;
  if (rest === "" && method === "OPTIONS") return "*";
  return `/${rest}`;
}
