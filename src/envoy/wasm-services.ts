//! `bootstrap_extensions`: Wasm services, plug-ins that filter nothing. They tick, call out, and
//! serve queues and shared data of filters; one VM in each worker, or one alone (`singleton`).

import type { Plugin } from "../snapshot/snapshot.ts";
import type { Cursor } from "../resources/cursor.ts";
import { unsupported, unwrap } from "./common.ts";
import { readWasmPlugin, WASM_SERVICE_KIND } from "./wasm-filter.ts";
import type { CodeResolver } from "./wasm-filter.ts";

const SERVICE = "envoy.extensions.wasm.v3.WasmService";

export interface WasmServices {
  readonly everywhere: Readonly<Record<string, Plugin>>;
  readonly singletons: Readonly<Record<string, Plugin>>;
}

export function readWasmServices(cursor: Cursor, resolveCode: CodeResolver): WasmServices {
  const everywhere: Record<string, Plugin> = {};
  const singletons: Record<string, Plugin> = {};
  for (const [index, item] of cursor.items().entries()) {
    if (!item.isMap(["name", "typed_config"])) continue;
    const { type, config, fields } = unwrap(item.at("typed_config"));
    if (type !== SERVICE) {
      const what = `the bootstrap extension ${type || item.at("name").text()}`;
      unsupported(item, what, "Of these there is only envoy.bootstrap.wasm.");
      continue;
    }
    if (!config.isMap([...fields, "config", "singleton"])) continue;
    const name = `service/${index}`;
    const plugin = readWasmPlugin(config.at("config"), name, resolveCode, WASM_SERVICE_KIND);
    if (config.at("singleton").flag(false)) singletons[name] = plugin;
    else everywhere[name] = plugin;
  }
  return { everywhere, singletons };
}
