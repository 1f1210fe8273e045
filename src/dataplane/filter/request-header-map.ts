//! A request's head as plug-ins see it: pseudo fields first, `host` never (Proxy-Wasm, Envoy).

import type { Headers } from "../../http/headers.ts";
import { METHOD_BYTES_MAX, TARGET_BYTES_MAX } from "../../http/limits.ts";
import { isHostEmpty } from "../../http/request-target.ts";
import { isAuthority, isFieldName, isFieldValue, isMethod, isTarget } from "../../http/syntax.ts";
import type { HeaderMap } from "../../wasm/stream-host.ts";

/** The parts of a request's head that plug-ins may change. */
export interface EditableRequest {
  method: string;
  target: string;
  authority: string;
  readonly headers: Headers;
}

const PSEUDO_COUNT = 4;
/** Framing is the codec's: a plug-in cannot make the message mean something else (smuggling). */
const FRAMING: ReadonlySet<string> = new Set([
  ...["content-length", "transfer-encoding", "connection", "upgrade", "host"],
  // What concerns one connection only (RFC 9110 section 7.6.1).
  ...["keep-alive", "proxy-connection", "http2-settings"],
]);

export class RequestHeaderMap implements HeaderMap {
  readonly #request: EditableRequest;
  readonly #scheme: string;

  constructor(request: EditableRequest, scheme: string) {
    this.#request = request;
    this.#scheme = scheme;
  }

  get size(): number {
    return this.#request.headers.size + PSEUDO_COUNT - (this.#request.headers.has("host") ? 1 : 0);
  }

  get(name: string): string | undefined {
    if (name.charCodeAt(0) === 0x3a) return this.#pseudo(name);
    return name === "host" ? this.#request.authority : this.#request.headers.get(name);
  }

  set(name: string, value: string): void {
    if (name.charCodeAt(0) === 0x3a || name === "host") this.#setPseudo(name, value);
    else if (isAllowedField(name, value)) this.#request.headers.set(name, value);
  }

  add(name: string, value: string): void {
    if (name.charCodeAt(0) === 0x3a || name === "host") this.#setPseudo(name, value);
    else if (isAllowedField(name, value)) this.#request.headers.add(name, value);
  }

  remove(name: string): void {
    if (name.charCodeAt(0) === 0x3a) this.#setPseudo(name, "");
    else if (isRemovable(name)) this.#request.headers.remove(name);
  }

  forEach(visit: (name: string, value: string) => void): void {
    const { method, target, authority, headers } = this.#request;
    visit(":authority", authority);
    visit(":path", target);
    visit(":method", method);
    visit(":scheme", this.#scheme);
    headers.names.forEach((name, index) => {
      if (name !== "host") visit(name, headers.values[index] ?? "");
    });
  }

  replaceAll(pairs: readonly (readonly [name: string, value: string])[]): void {
    const { headers } = this.#request;
    const length = headers.get("content-length");
    for (const name of new Set(headers.names)) if (isRemovable(name)) headers.remove(name);
    for (const [name, value] of pairs) {
      if (name === "content-length" && value === length) headers.set(name, value);
      else this.add(name, value);
    }
  }

  #pseudo(name: string): string | undefined {
    switch (name) {
      case ":authority":
        return this.#request.authority;
      case ":path":
        return this.#request.target;
      case ":method":
        return this.#request.method;
      case ":scheme":
        return this.#scheme;
      default:
        return undefined;
    }
  }

  // An empty value stands for a removed field: the gateway answers it as Envoy does.
  #setPseudo(name: string, value: string): void {
    switch (name) {
      case ":authority":
      case "host":
        if (value === "" || isNamedAuthority(value)) this.#setAuthority(value, value);
        else this.#setRouted(value);
        return;
      case ":path":
        if (value === "" || isPath(value)) this.#request.target = value;
        return;
      case ":method":
        // CONNECT would turn what follows into a tunnel.
        if (value === "" || isPlainMethod(value)) this.#request.method = value;
        return;
      default:
    }
  }

  /** Plug-ins put words behind an authority to choose its route: that is no port to send on. */
  #setRouted(value: string): void {
    const [, host = ""] = BEHIND_PORT.exec(value) ?? [];
    if (host !== "" && isNamedAuthority(host)) this.#setAuthority(value, host);
  }

  /** `host` is what goes out. */
  #setAuthority(value: string, host: string): void {
    this.#request.authority = value;
    this.#request.headers.set("host", host);
  }
}

const BEHIND_PORT = /^([^:]+):[-._~A-Za-z0-9]{1,255}$/;

/** The forms that a request to an origin may have (RFC 9112 section 3.2). */
function isPath(value: string): boolean {
  if (value.length > TARGET_BYTES_MAX) return false;
  return value === "*" || (value.startsWith("/") && isTarget(value));
}

function isNamedAuthority(value: string): boolean {
  return isAuthority(value) && !isHostEmpty(value);
}

function isPlainMethod(value: string): boolean {
  return isMethod(value) && value !== "CONNECT" && value.length <= METHOD_BYTES_MAX;
}

/** A plug-in that changes a body removes its length first: the body is then framed without one. */
export function isRemovable(name: string): boolean {
  return name === "content-length" || !FRAMING.has(name);
}

export function isAllowedField(name: string, value: string): boolean {
  if (!isFieldName(name) || !isFieldValue(value) || FRAMING.has(name)) return false;
  // HTTP/2 takes no other (RFC 9113 section 8.2.2).
  return name !== "te" || value === "trailers";
}
