//! HTTP calls out of a plug-in, through the embedder.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import { decodePairs } from "../header-pairs.ts";
import type { HeaderPair } from "../header-pairs.ts";
import type { HttpCall, HttpCallRefusal } from "../http-calls.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const CLUSTER_BYTES_MAX = 1024;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export function callFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_http_call(
      cluster: number,
      clusterLength: number,
      pairs: number,
      pairsLength: number,
      body: number,
      bodyLength: number,
      trailers: number,
      trailersLength: number,
      timeoutMs: number,
      outToken: number,
    ): Status {
      const name = memory.copy(cluster, clusterLength);
      const fields = memory.copy(pairs, pairsLength);
      const bytes = memory.copy(body, bodyLength);
      const last = memory.copy(trailers, trailersLength);
      if (name === null || fields === null || bytes === null || last === null) {
        return Status.invalidMemoryAccess;
      }
      if (!memory.isInside(outToken, 4)) return Status.invalidMemoryAccess;
      const call = buildCall({ name, fields, bytes, last, timeoutMs });
      const started = call === null ? "no_cluster" : startCall(vm, call);
      const isStarted = typeof started === "number";
      memory.writeU32(outToken, isStarted ? started : 0);
      if (isStarted) return Status.ok;
      return started === "full" ? Status.internalFailure : Status.badArgument;
    },
  };
}

interface RawCall {
  readonly name: Uint8Array;
  readonly fields: Uint8Array;
  readonly bytes: Uint8Array;
  readonly last: Uint8Array;
  readonly timeoutMs: number;
}

/** Null when something that every call needs is missing. */
function buildCall({ name, fields, bytes, last, timeoutMs }: RawCall): HttpCall | null {
  if (timeoutMs < 0 || name.length > CLUSTER_BYTES_MAX || bytes.length > BODY_BYTES_MAX)
    return null;
  const pairs = decodePairs(fields);
  const trailers = decodePairs(last);
  if (pairs === null || trailers === null) return null;
  const find = (wanted: string): string => pairs.find(([key]) => key === wanted)?.[1] ?? "";
  const method = find(":method");
  const path = find(":path");
  const authority = find(":authority");
  if (method === "" || path === "" || authority === "") return null;
  const headers = pairs.filter(([key]: HeaderPair) => !key.startsWith(":"));
  const cluster = latin1(name);
  return { cluster, method, path, authority, headers, body: bytes, trailers, timeoutMs };
}

function startCall(vm: Vm, call: HttpCall): number | HttpCallRefusal {
  const { root } = vm;
  const { httpCall } = vm.services;
  if (root === null || httpCall === undefined) return "no_cluster";
  return root.calls.start(root, httpCall, call);
}
