//! Buffers: bodies, bytes of a connection, configurations. Those that belong to something this host
//! has not now (a gRPC message, call data) read as empty, as they do in Envoy.

import { BufferKind, Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const EMPTY = new Uint8Array(0);
/** What a guest can blow up one body to. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function bufferFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    proxy_get_buffer_status(kind: number, outLength: number, outFlags: number): Status {
      const bytes = findBuffer(vm, kind >>> 0);
      if (typeof bytes === "number") return bytes;
      const status = memory.writeU32(outLength, bytes.length);
      return status === Status.ok ? memory.writeU32(outFlags, 0) : status;
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_get_buffer_bytes(
      kind: number,
      start: number,
      length: number,
      outBytes: number,
      outLength: number,
    ): Status {
      const bytes = findBuffer(vm, kind >>> 0);
      if (typeof bytes === "number") return bytes;
      const from = start >>> 0;
      const part = from > bytes.length ? EMPTY : bytes.subarray(from, from + (length >>> 0));
      return memory.giveBytes(part, outBytes, outLength);
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_set_buffer_bytes(
      kind: number,
      start: number,
      length: number,
      value: number,
      valueLength: number,
    ): Status {
      const bytes = findBuffer(vm, kind >>> 0);
      if (typeof bytes === "number") return bytes;
      if (!memory.isInside(value, valueLength)) return Status.invalidMemoryAccess;
      const body = vm.stream?.body(kind) ?? null;
      // The configurations and what is not there are immutable.
      if (body === null) return Status.badArgument;
      if (body.size + (valueLength >>> 0) > BODY_BYTES_MAX) return Status.internalFailure;
      const from = value >>> 0;
      const added = memory.bytes.subarray(from, from + (valueLength >>> 0));
      return body.set(start >>> 0, length >>> 0, added);
    },
    /** ABI 0.1.0: the plug-in's configuration while it is being configured, else the VM's. */
    proxy_get_configuration(outBytes: number, outLength: number): Status {
      return memory.giveBytes(configuration(vm), outBytes, outLength);
    },
  };
}

function findBuffer(vm: Vm, kind: number): Uint8Array | Status {
  switch (kind) {
    case BufferKind.requestBody:
    case BufferKind.responseBody:
    case BufferKind.downstreamData:
    case BufferKind.upstreamData:
      return vm.stream?.body(kind)?.bytes ?? EMPTY;
    case BufferKind.vmConfiguration:
      return vm.settings.vmConfiguration;
    case BufferKind.pluginConfiguration:
      return vm.root?.isConfiguring === true ? vm.root.plugin.configuration : Status.notFound;
    case BufferKind.httpCallResponseBody:
      return vm.enteredRoot?.answer?.body ?? Status.notFound;
    case BufferKind.grpcMessage:
      return vm.enteredRoot?.grpcMessage ?? EMPTY;
    case BufferKind.redisReply:
      if (vm.module.abiVersion !== "0.2.100") return Status.badArgument;
      return vm.enteredRoot?.redisReply ?? Status.notFound;
    case BufferKind.callData:
      return vm.enteredRoot?.callData ?? EMPTY;
    default:
      return kind > BufferKind.callData ? Status.badArgument : EMPTY;
  }
}

function configuration(vm: Vm): Uint8Array {
  return vm.root?.isConfiguring === true
    ? vm.root.plugin.configuration
    : vm.settings.vmConfiguration;
}
