//! What an Envoy bootstrap names as a plug-in's code.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CodeResolver } from "../envoy/wasm-filter.ts";
import type { RemoteCode } from "./remote-code.ts";

/**
 * Paths are relative to here; `fileOf` says where code within the configuration is, `remote` where
 * code will be that is to be fetched. Without `remote` none is.
 */
export function codeResolver(
  fileOf: (sha256: string, bytes: Uint8Array) => string,
  remote?: RemoteCode,
): CodeResolver {
  return (code) => {
    if (code.kind === "remote") {
      if (remote === undefined) return "remote code is fetched by `graylane envoy` alone";
      return { sha256: code.source.sha256, path: remote.add(code.source) };
    }
    try {
      const bytes = code.kind === "file" ? readFileSync(code.path) : code.bytes;
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const path = code.kind === "file" ? resolve(code.path) : fileOf(sha256, bytes);
      return { sha256, path };
    } catch (error) {
      const { code: reason, message } = error as NodeJS.ErrnoException;
      return reason === "ENOENT" ? "there is no such file" : message;
    }
  };
}
