//! Why a handshake of TLS failed, in words for the log.

import type { Socket } from "node:net";

export const NO_SUCH_NAME = "no certificate for the server name";
export const NOT_KNOWN = "no certificate of an authority that is asked for";

/**
 * In OpenSSL's words where they are its own: fixed ones, without a byte of the client's. Null: the
 * client has gone away, or has said nothing, as checks of ports do.
 */
export function handshakeFault(error: NodeJS.ErrnoException, raw: Socket | null): string | null {
  const { code, message } = error;
  if (code === "ECONNRESET" || code === "EPIPE" || raw?.bytesRead === 0) return null;
  if (message === NO_SUCH_NAME) return message;
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "it was not done in time";
  const reason: unknown = "reason" in error ? error.reason : null;
  return typeof reason === "string" ? reason : (code ?? "it failed");
}
