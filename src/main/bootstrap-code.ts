//! What an Envoy bootstrap names as a plug-in's code.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CodeResolver } from "../envoy/wasm-filter.ts";

/** Paths are relative to here; `fileOf` says where code within the configuration is. */
export function codeResolver(fileOf: (sha256: string, bytes: Uint8Array) => string): CodeResolver {
  return (code) => {
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
