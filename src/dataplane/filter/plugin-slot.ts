//! A plug-in of the snapshot with its running instance in this worker.

import type { ObjectRef, Plugin as PluginResource } from "../../snapshot/snapshot.ts";
import type { Plugin } from "../../wasm/plugin.ts";

/** Why a plug-in does not run as its resource says. */
export interface PluginFault {
  readonly source: ObjectRef;
  /** Stable, `GL0417`. */
  readonly code: string;
  readonly message: string;
  /** `""` when the message says it all. */
  readonly remedy: string;
}

export interface PluginSlot {
  readonly plugin: PluginResource;
  /** Null when there is no code to run: its fail mode applies. */
  readonly instance: Plugin | null;
  /** Set when `instance` is null, has not started yet, or is the version before. */
  readonly fault?: PluginFault;
}
