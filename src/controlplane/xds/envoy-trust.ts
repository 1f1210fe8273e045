//! Whether an Envoy may be told private keys: who reads the xDS port may not, who shows the token
//! may.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";

/** - none: no token is shown. - wrong: another one is. */
export type Trust = "keys" | "none" | "wrong";

export const WRONG_TOKEN: string =
  "the xDS token is not that of this control plane: set GRAYLANE_XDS_TOKEN to the content of " +
  "xds.token in its state directory";
/** What Envoy puts in the place of a variable that is not set. */
const NOT_SET = "-";
const SCHEME = "Bearer ";

/** `keyToken` undefined: nobody is told keys. */
export function trustIn(metadata: Metadata, keyToken: string | undefined): Trust {
  const [field = ""] = metadata.get("authorization");
  const text = String(field);
  const shown = text.startsWith(SCHEME) ? text.slice(SCHEME.length).trim() : text.trim();
  if (shown === "" || shown === NOT_SET || keyToken === undefined) return "none";
  const digest = (token: string): Buffer => createHash("sha256").update(token).digest();
  return timingSafeEqual(digest(shown), digest(keyToken)) ? "keys" : "wrong";
}
