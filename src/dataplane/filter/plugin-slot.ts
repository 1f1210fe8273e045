//! A plug-in of the snapshot with its running instance in this worker.

import type { Plugin as PluginResource } from "../../snapshot/snapshot.ts";
import type { Plugin } from "../../wasm/plugin.ts";

export interface PluginSlot {
  readonly plugin: PluginResource;
  /** Null when it could not be started and its fail mode is open: served without, and said so. */
  readonly instance: Plugin | null;
}
