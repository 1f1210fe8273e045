//! What can go wrong with a plug-in, as values: it could not be loaded or started, or it trapped.

import { wasmFrames } from "./wasm-stack.ts";

export type LoadFaultKind =
  | "not_wasm"
  | "invalid_module"
  | "unsupported_code"
  | "abi_version"
  | "missing_import"
  | "import_type"
  | "callback_type"
  | "missing_export"
  | "start_trapped"
  | "vm_start_refused"
  | "configure_refused";

/** Why a plug-in could not be loaded or started. Returned, never thrown. */
export class LoadFault {
  readonly kind: LoadFaultKind;
  readonly plugin: string;
  /** One sentence without a full stop; Envoy's words where Envoy has some. */
  readonly message: string;
  /** What to do; `""` when the message says it all. */
  readonly remedy: string;
  /** Of the parts of the start in which it failed, how long the longest took; 0: none was begun. */
  longestMs = 0;

  constructor(plugin: string, kind: LoadFaultKind, message: string, remedy = "") {
    this.plugin = plugin;
    this.kind = kind;
    this.message = message;
    this.remedy = remedy;
  }
}

/** What is known of a crash, apart from what was thrown. */
export interface TrapPlace {
  readonly plugin: string;
  /** `""` when the embedder gave none. */
  readonly version: string;
  /** The export that was running, e.g. `proxy_on_request_headers`. */
  readonly callback: string;
  /** Of the exchange whose callback it was; `""` without one. */
  readonly requestId: string;
}

/** Thrown in place of the guest's `unreachable` when its time was up. */
export class BudgetSpent extends Error {
  constructor(budgetMs: number, stack: string) {
    super(`it ran for longer than its budget of ${budgetMs} ms`);
    // The innermost frame is the check itself, which is not the guest's.
    this.stack = stack.replace(/\n[^\n]*wasm-function[^\n]*/, "");
  }
}

/** A guest was stopped inside a callback. Its VM is unusable from then on. */
export class PluginTrap {
  readonly plugin: string;
  readonly version: string;
  readonly callback: string;
  readonly requestId: string;
  readonly message: string;
  /** The guest's frames, innermost first, with names where the module has a name section. */
  readonly frames: readonly string[];
  /** The whole stack as the engine gives it. */
  readonly stack: string;
  /** What was thrown: a RuntimeError of the guest, or an error inside a host function. */
  readonly cause: unknown;

  constructor(place: TrapPlace, cause: unknown) {
    this.plugin = place.plugin;
    this.version = place.version;
    this.callback = place.callback;
    this.requestId = place.requestId;
    this.cause = cause;
    this.message = cause instanceof Error ? cause.message : String(cause);
    this.stack = cause instanceof Error ? (cause.stack ?? "") : "";
    this.frames = wasmFrames(this.stack);
  }

  /** The crash report, for the log: one line, then a line for each frame. */
  report(): string {
    const version = this.version === "" ? "" : ` (${this.version})`;
    const request = this.requestId === "" ? "" : `, request ${this.requestId}`;
    const head = `trapped in ${this.callback}: ${this.message}; plug-in ${this.plugin}${version}`;
    return [`${head}${request}`, ...this.frames.map((frame) => `  at ${frame}`)].join("\n");
  }
}
