//! What can go wrong with a plug-in, as values: it could not be loaded or started, or it trapped.

export type LoadFaultKind =
  | "not_wasm"
  | "invalid_module"
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

  constructor(plugin: string, kind: LoadFaultKind, message: string, remedy = "") {
    this.plugin = plugin;
    this.kind = kind;
    this.message = message;
    this.remedy = remedy;
  }
}

/** A guest was stopped inside a callback. Its VM is unusable from then on. */
export class PluginTrap {
  readonly plugin: string;
  /** The export that was running, e.g. `proxy_on_request_headers`. */
  readonly callback: string;
  readonly message: string;
  /** The guest's frames are `wasm-function[12]` or, with a name section, their names. */
  readonly stack: string;
  /** What was thrown: a RuntimeError of the guest, or an error inside a host function. */
  readonly cause: unknown;

  constructor(plugin: string, callback: string, cause: unknown) {
    this.plugin = plugin;
    this.callback = callback;
    this.cause = cause;
    this.message = cause instanceof Error ? cause.message : String(cause);
    this.stack = cause instanceof Error ? (cause.stack ?? "") : "";
  }
}
