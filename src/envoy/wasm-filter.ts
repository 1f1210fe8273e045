//! A Wasm HTTP filter: `envoy.extensions.filters.http.wasm.v3.Wasm`, also within a TypedStruct.

import type { Plugin } from "../snapshot/snapshot.ts";
import type { Cursor } from "../resources/cursor.ts";
import { isAnything, typeOf } from "./common.ts";
import { readRemoteSource } from "./remote-code.ts";
import type { RemoteSource } from "./remote-code.ts";

/** The code as the configuration has it. */
export type WasmCode =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "remote"; readonly source: RemoteSource };

/** Makes a file of the code; a text: why that cannot be. */
export type CodeResolver = (code: WasmCode) => Plugin["module"] | string;

const PLUGIN_FIELDS = [
  "name",
  "root_id",
  "vm_config",
  "configuration",
  "fail_open",
  "failure_policy",
  "reload_config",
  "capability_restriction_config",
  "allow_on_headers_stop_iteration",
];
const VM_FIELDS = [
  "vm_id",
  "runtime",
  "code",
  "configuration",
  "allow_precompiled",
  "nack_on_code_cache_miss",
  "environment_variables",
];
const POLICIES = ["UNSPECIFIED", "FAIL_RELOAD", "FAIL_CLOSED", "FAIL_OPEN"] as const;
const ANY = "@type";
const STRING_TYPE = "google.protobuf.StringValue";

/** What messages call a plug-in that filters, and one that is a service. */
export const WASM_PLUGIN_KIND = "plugin";
export const WASM_SERVICE_KIND = "service";

/** `config` is the PluginConfig; `name` is unique in the snapshot. */
export function readWasmPlugin(
  config: Cursor,
  name: string,
  resolveCode: CodeResolver,
  kind: string = WASM_PLUGIN_KIND,
): Plugin {
  const isMap = config.isMap(PLUGIN_FIELDS);
  const vm = config.at("vm_config");
  if (isMap) vm.isMap(VM_FIELDS);
  const capabilities = readCapabilities(config.at("capability_restriction_config"));
  const environment = vm.at("environment_variables");
  isAnything(environment, ["host_env_keys", "key_values"]);
  const hostEnv = environment
    .at("host_env_keys")
    .items()
    .map((key) => key.text(null));
  const values = environment.at("key_values").entries();
  const vmConfiguration = readAny(vm.at("configuration"));
  return {
    name,
    source: { kind, namespace: "", name: config.at("name").text() },
    module: isMap ? readCode(vm.at("code"), resolveCode) : NO_MODULE,
    configuration: readAny(config.at("configuration")),
    pluginName: config.at("name").text(),
    rootId: config.at("root_id").text(),
    vmId: vm.at("vm_id").text(),
    failMode: readFailMode(config),
    env: Object.fromEntries(values.map(([key, value]) => [key, value.text()])),
    ...(hostEnv.length > 0 && { hostEnv }),
    ...(vmConfiguration !== "" && { vmConfiguration }),
    ...(capabilities !== undefined && { capabilities }),
    ...(config.at("allow_on_headers_stop_iteration").flag(false) && {
      stopsHeadersAlone: true as const,
    }),
  };
}

/** Undefined, as for Envoy, when none is named. */
function readCapabilities(cursor: Cursor): readonly string[] | undefined {
  if (cursor.isAbsent || !cursor.isMap(["allowed_capabilities"])) return undefined;
  const names = cursor.at("allowed_capabilities").entries();
  for (const [, settings] of names) isAnything(settings, []);
  return names.length === 0 ? undefined : names.map(([name]) => name).sort();
}

/** A VM that trapped is always rebuilt here: FAIL_RELOAD is FAIL_CLOSED. */
function readFailMode(config: Cursor): Plugin["failMode"] {
  const open = config.at("fail_open");
  const policy = config.at("failure_policy");
  if (!open.isAbsent && !policy.isAbsent) policy.wrong("left out beside fail_open, as in Envoy");
  const word = policy.choice(POLICIES, "UNSPECIFIED");
  return open.flag(false) || word === "FAIL_OPEN" ? "open" : "closed";
}

const NO_MODULE: Plugin["module"] = { sha256: "", path: "" };

function readCode(cursor: Cursor, resolveCode: CodeResolver): Plugin["module"] {
  if (!cursor.isMap(["local", "remote"])) return NO_MODULE;
  const remote = cursor.at("remote");
  const local = cursor.at("local");
  const code = remote.isAbsent ? readLocal(local) : readRemote(remote);
  if (code === null) return NO_MODULE;
  const module = resolveCode(code);
  if (typeof module !== "string") return module;
  const at = { file: local.at("filename"), bytes: local, remote }[code.kind];
  at.wrong(`code that can be read: ${module}`);
  return NO_MODULE;
}

function readRemote(remote: Cursor): WasmCode | null {
  const source = readRemoteSource(remote);
  return source === null ? null : { kind: "remote", source };
}

function readLocal(local: Cursor): WasmCode | null {
  if (!local.isMap(["filename", "inline_bytes", "inline_string"])) return null;
  const filename = local.at("filename");
  if (!filename.isAbsent) return { kind: "file", path: filename.text() };
  const encoded = local.at("inline_bytes");
  if (!encoded.isAbsent) {
    return { kind: "bytes", bytes: Buffer.from(encoded.text(), "base64") };
  }
  const inline = local.at("inline_string");
  if (inline.isAbsent) {
    local.wrong("a map with filename, inline_bytes or inline_string");
    return null;
  }
  return { kind: "bytes", bytes: Buffer.from(inline.text(), "utf8") };
}

/** What Envoy hands to a plug-in for an Any: texts as they are, bytes, Structs as JSON. */
export function readAny(cursor: Cursor): string {
  if (cursor.isAbsent) return "";
  if (!cursor.isMap([ANY, "value"]) || cursor.entries().length === 0) return "";
  const type = typeOf(cursor.at(ANY));
  const value = cursor.at("value");
  if (type === STRING_TYPE) return value.text();
  if (type === "google.protobuf.BytesValue") return Buffer.from(value.text(), "base64").toString();
  if (type === "google.protobuf.Struct") return value.isAbsent ? "{}" : JSON.stringify(value.value);
  cursor.at(ANY).wrong("google.protobuf.StringValue, BytesValue or Struct");
  return "";
}
