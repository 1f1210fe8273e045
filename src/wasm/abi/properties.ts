//! Properties: proxy_get_property, proxy_set_property. Paths are parts joined by NUL.
//!
//! One property is ours: setting `graylane.explain` reports a decision as a JSON text. A plug-in is
//! told by the callback `graylane_on_explain(stream, 1)` that reasons of an exchange are wanted,
//! so an exchange that nobody explains pays nothing; other hosts never call it.

import { typedPart } from "../cel/typed-value.ts";
import { UNDECLARED } from "../declared-properties.ts";
import { Status } from "../enums.ts";
import { encodePairs } from "../header-pairs.ts";
import { encodeInteger, encodeUtf8, UNSERIALIZABLE } from "../property-encoding.ts";
import type { StreamContext } from "../stream-context.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";
import { latin1, utf8 } from "../field-text.ts";

const EMPTY_MAP: Uint8Array = encodePairs([]);

/** Objects that have parts but no value of their own. */
const OBJECTS: ReadonlySet<string> = new Set([
  ...["", "request", "response", "filter_state", "source", "destination", "connection"],
  ...["upstream", "xds"],
]);
/** Parts of `request` that are gone with the request's header map. */
const OF_REQUEST_HEADERS: ReadonlySet<string> = new Set([
  "path",
  "url_path",
  "host",
  "scheme",
  "method",
  "query",
  "referer",
  "useragent",
  "id",
  "headers",
]);
/** A longer value is refused: a guest may not fill the host's memory through one exchange. */
const VALUE_BYTES_MAX = 1 << 20;
const NAME_BYTES_MAX = 1024;

/** Setting one of them to `true` asks for a new VM: Higress' SDK has used both names. */
const REBUILD: ReadonlySet<string> = new Set(["wasm_need_rebuild", "wasm_rebuild"]);

export function propertyFunctions(vm: Vm): HostFunctions {
  const { memory, paths } = vm;
  return {
    proxy_get_property(path: number, length: number, outValue: number, outLength: number): Status {
      if (!memory.isInside(path, length)) return Status.invalidMemoryAccess;
      const parts = paths.get(memory.view, path >>> 0, length >>> 0);
      if (parts.length === 1 && isObject(parts[0] as string, vm.stream)) {
        return Status.serializationFailure;
      }
      const value = ofMessage(vm.stream, parts) ?? readProperty(vm, vm.stream, parts);
      if (value === null) return Status.notFound;
      if (value === UNSERIALIZABLE) return Status.serializationFailure;
      return memory.giveBytes(value, outValue, outLength);
    },
    proxy_set_property(name: number, nameLength: number, value: number, length: number): Status {
      if (!memory.isInside(name, nameLength)) return Status.invalidMemoryAccess;
      const bytes = memory.copy(value, length);
      if (bytes === null) return Status.invalidMemoryAccess;
      if (vm.stream === null) return Status.notFound;
      if (bytes.length > VALUE_BYTES_MAX || nameLength >>> 0 > NAME_BYTES_MAX) {
        return Status.internalFailure;
      }
      const start = name >>> 0;
      const key = utf8(memory.bytes.subarray(start, start + (nameLength >>> 0)));
      const status = vm.stream.host.setProperty(
        key,
        bytes,
        vm.root?.declared?.of(key) ?? UNDECLARED,
      );
      if (status !== Status.ok) return status;
      if (isHigress(vm) && REBUILD.has(key) && latin1(bytes) === "true") vm.root?.onRebuildAsked();
      return Status.ok;
    },
  };
}

/**
 * What was declared to be a message has parts, and reads as a value under `filter_state`; by its
 * own name it is its bytes. Undefined: it is not one.
 */
function ofMessage(stream: StreamContext | null, path: readonly string[]): Uint8Array | undefined {
  if (path.length < 2 || stream?.host.propertyType === undefined) return undefined;
  const depth = path[0] === "filter_state" ? 2 : 1;
  if (depth === 1 && OBJECTS.has(path[0] as string)) return undefined;
  const head = path.slice(0, depth);
  const type = stream.host.propertyType(head);
  const value = type.kind === "message" ? stream.host.property(head) : null;
  if (value === null) return undefined;
  const part = typedPart(value, type, path.slice(depth));
  if (part !== null) return part;
  return path.length === depth ? UNSERIALIZABLE : undefined;
}

/** Without an exchange there is only what the configuration says. */
function isObject(name: string, stream: StreamContext | null): boolean {
  return stream === null ? name === "" || name === "xds" : OBJECTS.has(name);
}

/** As the plug-in sees it in the phase of that exchange. */
export function readProperty(
  vm: Vm,
  stream: StreamContext | null,
  path: readonly string[],
): Uint8Array | null {
  const own = path.length === 1 ? ownProperty(vm, path[0] as string) : undefined;
  if (own !== undefined) return own;
  if (stream === null) return vm.services.rootProperty?.(path) ?? null;
  if (path[0] === "request" && isHidden(stream, path))
    return path.length === 2 ? hidden(path) : null;
  return stream.host.property(path);
}

/** What this host knows itself; undefined when it is not its own property. */
function ownProperty(vm: Vm, name: string): Uint8Array | null | undefined {
  switch (name) {
    case "plugin_name":
      return encodeUtf8(vm.root?.plugin.name ?? "");
    case "plugin_root_id":
      return encodeUtf8(vm.root?.plugin.rootId ?? "");
    case "plugin_vm_memory":
      return isHigress(vm) ? encodeInteger(vm.memory.bytes.length) : undefined;
    case "plugin_vm_id":
      return encodeUtf8(vm.settings.vmId);
    default:
      return undefined;
  }
}

function isHigress(vm: Vm): boolean {
  return vm.module.abiVersion === "0.2.100";
}

function isHidden(stream: StreamContext, path: readonly string[]): boolean {
  return OF_REQUEST_HEADERS.has(path[1] ?? "") && !stream.hasRequestHeaders;
}

/** The whole map reads as empty, its parts are not found (observed in Envoy). */
function hidden(path: readonly string[]): Uint8Array | null {
  return path[1] === "headers" ? EMPTY_MAP : null;
}
