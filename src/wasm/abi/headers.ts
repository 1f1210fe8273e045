//! Header maps: get, add, replace, remove, pairs, size. A change to the request's headers clears
//! the route cache: every ABI version so far behaves so in Envoy.

import { MapKind, Status } from "../enums.ts";
import { bytesOf, decodePairs, encodePairs, PAIRS_BYTES_MAX, PAIRS_MAX } from "../header-pairs.ts";
import type { HeaderPair } from "../header-pairs.ts";
import type { HeaderMap } from "../stream-host.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** So few fields, each so short, need not be counted: they are far below the limits. */
const UNCOUNTED_FIELDS_MAX = 128;
const UNCOUNTED_BYTES_MAX = 4_096;

type Change = (map: HeaderMap, name: string, value: string) => void;

export function headerFunctions(vm: Vm): HostFunctions {
  return { ...readFunctions(vm), ...changeFunctions(vm) };
}

function readFunctions(vm: Vm): HostFunctions {
  const { memory, names } = vm;
  const isFirstAbi = vm.module.abiVersion === "0.1.0";
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_get_header_map_value(
      kind: number,
      key: number,
      keyLength: number,
      outValue: number,
      outLength: number,
    ): Status {
      if (kind >>> 0 > MapKind.httpCallResponseTrailers) return Status.badArgument;
      if (!memory.isInside(key, keyLength)) return Status.invalidMemoryAccess;
      const map = readableMap(vm, kind);
      if (map === null) return vm.stream?.isLogging === true ? Status.notFound : Status.badArgument;
      const name = names.get(memory.view, key >>> 0, keyLength >>> 0);
      const value = name === null ? undefined : map.get(name);
      if (value !== undefined) return memory.giveLatin1(value, outValue, outLength);
      return isFirstAbi ? memory.giveLatin1("", outValue, outLength) : Status.notFound;
    },
    proxy_get_header_map_pairs(kind: number, outPairs: number, outLength: number): Status {
      if (kind >>> 0 > MapKind.httpCallResponseTrailers) return Status.badArgument;
      const map = readableMap(vm, kind);
      if (map === null || map.size === 0) return memory.giveLatin1("", outPairs, outLength);
      const pairs: HeaderPair[] = [];
      map.forEach((name, value) => {
        pairs.push([name, value]);
      });
      return memory.giveBytes(encodePairs(pairs), outPairs, outLength);
    },
    proxy_get_header_map_size(kind: number, outSize: number): Status {
      const map = kind >>> 0 > MapKind.responseTrailers ? null : (vm.stream?.map(kind) ?? null);
      if (map === null) return Status.badArgument;
      return memory.writeU32(outSize, bytesOf(map));
    },
  };
}

function changeFunctions(vm: Vm): HostFunctions {
  const { memory, names, values } = vm;
  const changer =
    (change: Change) =>
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    (kind: number, key: number, keyLength: number, value: number, valueLength: number): Status => {
      if (!memory.isInside(key, keyLength) || !memory.isInside(value, valueLength)) {
        return Status.invalidMemoryAccess;
      }
      const map = writableMap(vm, kind >>> 0);
      if (map === null) return Status.badArgument;
      if (keyLength === 0) return Status.ok;
      if (!hasRoom(map, (keyLength >>> 0) + (valueLength >>> 0))) return Status.badArgument;
      const bytes = memory.view;
      const name = names.get(bytes, key >>> 0, keyLength >>> 0);
      const text = values.get(bytes, value >>> 0, valueLength >>> 0);
      // Envoy would write such bytes out; we do not let a plug-in split a message.
      if (name === null || text === null) return Status.badArgument;
      change(map, name, text);
      changed(vm, kind);
      return Status.ok;
    };
  return {
    proxy_replace_header_map_value: changer((map, name, value) => {
      map.set(name, value);
    }),
    proxy_add_header_map_value: changer((map, name, value) => {
      map.add(name, value);
    }),
    proxy_remove_header_map_value(kind: number, key: number, keyLength: number): Status {
      if (!memory.isInside(key, keyLength)) return Status.invalidMemoryAccess;
      const map = writableMap(vm, kind >>> 0);
      if (map === null) return Status.badArgument;
      const name = names.get(memory.view, key >>> 0, keyLength >>> 0);
      if (name === null) return Status.ok;
      map.remove(name);
      changed(vm, kind);
      return Status.ok;
    },
    proxy_set_header_map_pairs(kind: number, pointer: number, length: number): Status {
      if (!memory.isInside(pointer, length)) return Status.invalidMemoryAccess;
      const map = writableMap(vm, kind >>> 0);
      if (map === null) return Status.badArgument;
      const start = pointer >>> 0;
      const pairs = decodePairs(memory.bytes.subarray(start, start + (length >>> 0)));
      if (pairs === null) return Status.badArgument;
      map.replaceAll(pairs);
      changed(vm, kind);
      return Status.ok;
    },
  };
}

/** A map takes, one by one, no more than it takes at once (`proxy_set_header_map_pairs`). */
function hasRoom(map: HeaderMap, bytes: number): boolean {
  if (map.size < UNCOUNTED_FIELDS_MAX && bytes <= UNCOUNTED_BYTES_MAX) return true;
  return map.size < PAIRS_MAX && bytesOf(map) + bytes <= PAIRS_BYTES_MAX;
}

function readableMap(vm: Vm, kind: number): HeaderMap | null {
  const root = vm.enteredRoot;
  switch (kind) {
    case MapKind.httpCallResponseHeaders:
      return root?.answer?.headers ?? null;
    case MapKind.httpCallResponseTrailers:
      return root?.answer?.trailers ?? null;
    case MapKind.grpcInitialMetadata:
      return root?.grpcInitialMetadata ?? null;
    case MapKind.grpcTrailingMetadata:
      return root?.grpcTrailingMetadata ?? null;
    default:
      return vm.stream?.map(kind) ?? null;
  }
}

function writableMap(vm: Vm, kind: number): HeaderMap | null {
  return vm.stream?.writableMap(kind) ?? null;
}

function changed(vm: Vm, kind: number): void {
  if (kind === MapKind.requestHeaders) vm.stream?.host.clearRouteCache();
}
