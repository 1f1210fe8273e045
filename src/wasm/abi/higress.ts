//! What else Higress adds in ABI 0.2.100: data put into a response's body, the hosts of the route's
//! cluster, and its foreign functions.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import { encodePairs } from "../header-pairs.ts";
import type { HeaderPair } from "../header-pairs.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";
import { decodeBytesFields, decodeVarintFields } from "./protobuf.ts";

const ADDRESS_BYTES_MAX = 256;
/** Fields of `InjectEncodedDataToFilterChainArguments`. */
const BODY = 1;
const END_OF_STREAM = 2;
const NOTHING = new Uint8Array(0);
const HEALTHY = JSON.stringify({ health_status: "Healthy" });
const UNHEALTHY = JSON.stringify({ health_status: "Unhealthy" });

export function higressFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    proxy_inject_encoded_data_to_filter_chain(
      body: number,
      length: number,
      endOfStream: number,
    ): Status {
      if (!memory.isInside(body, length)) return Status.invalidMemoryAccess;
      const start = body >>> 0;
      return inject(vm, memory.bytes.subarray(start, start + (length >>> 0)), endOfStream !== 0);
    },
    /**
     * Pairs of an address and what is known of it, in JSON: plug-ins pick among those whose
     * `health_status` is `Healthy`. Nobody here asks hosts for their `metrics`.
     */
    proxy_get_upstream_hosts(outPairs: number, outLength: number): Status {
      if (vm.stream === null) return Status.badArgument;
      const hosts = vm.stream.host.upstreamHosts?.() ?? [];
      const pairs = hosts.map(({ address, isHealthy }): HeaderPair => [
        address,
        isHealthy ? HEALTHY : UNHEALTHY,
      ]);
      return memory.giveBytes(
        pairs.length === 0 ? NOTHING : encodePairs(pairs),
        outPairs,
        outLength,
      );
    },
    proxy_set_upstream_override_host(address: number, length: number): Status {
      if (!memory.isInside(address, length)) return Status.invalidMemoryAccess;
      if (vm.stream === null || length >>> 0 > ADDRESS_BYTES_MAX) return Status.badArgument;
      const start = address >>> 0;
      const text = latin1(memory.bytes.subarray(start, start + (length >>> 0)));
      vm.stream.host.overrideUpstreamHost?.(text);
      return Status.ok;
    },
  };
}

function inject(vm: Vm, body: Uint8Array, endOfStream: boolean): Status {
  const { stream } = vm;
  if (stream?.host.takesResponseBody !== true) return Status.badArgument;
  const isTaken = stream.injectResponseBody(body, endOfStream);
  return isTaken ? Status.ok : Status.internalFailure;
}

export type HigressForeignFunction = (vm: Vm, input: Uint8Array) => Uint8Array | Status;

/** Foreign functions that only modules of 0.2.100 find. */
export const HIGRESS_FOREIGN: ReadonlyMap<string, HigressForeignFunction> = new Map([
  ["get_log_level", getLogLevel],
  ["inject_encoded_data_to_filter_chain_on_header", injectOnHeader],
  // How many requests Envoy takes of one connection at a time; here they take turns anyway.
  ["set_global_max_requests_per_io_cycle", (): Uint8Array => NOTHING],
]);

/** Serialized `InjectEncodedDataToFilterChainArguments`. */
function injectOnHeader(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const texts = decodeBytesFields(input);
  const numbers = decodeVarintFields(input);
  if (texts === null || numbers === null) return Status.badArgument;
  const status = inject(vm, texts.get(BODY) ?? NOTHING, (numbers.get(END_OF_STREAM) ?? 0) !== 0);
  return status === Status.ok ? NOTHING : status;
}

function getLogLevel(vm: Vm): Uint8Array {
  const level = Buffer.alloc(4);
  level.writeUInt32LE(vm.services.logLevel(), 0);
  return level;
}
