//! Buffers. Configuration buffers are complete; bodies (0, 1), connection data (2, 3), call bodies
//! (4, 5) and call data (8) answer UNIMPLEMENTED until the parts that fill them exist.

import { BufferKind, Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const EMPTY = new Uint8Array(0);

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
    proxy_set_buffer_bytes(kind: number): Status {
      const bytes = findBuffer(vm, kind >>> 0);
      if (typeof bytes === "number") return bytes;
      return Status.badArgument; // The configurations are immutable.
    },
    /** ABI 0.1.0: the plug-in's configuration while it is being configured, else the VM's. */
    proxy_get_configuration(outBytes: number, outLength: number): Status {
      return memory.giveBytes(configuration(vm), outBytes, outLength);
    },
  };
}

function findBuffer(vm: Vm, kind: number): Uint8Array | Status {
  if (kind > BufferKind.callData) return Status.badArgument;
  if (kind === BufferKind.vmConfiguration) return vm.settings.vmConfiguration;
  if (kind !== BufferKind.pluginConfiguration) return Status.unimplemented;
  return vm.root?.isConfiguring === true ? vm.root.plugin.configuration : Status.notFound;
}

function configuration(vm: Vm): Uint8Array {
  return vm.root?.isConfiguring === true
    ? vm.root.plugin.configuration
    : vm.settings.vmConfiguration;
}
