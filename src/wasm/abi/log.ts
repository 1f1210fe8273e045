//! Logging: proxy_log, proxy_get_log_level.

import { LogLevel, Status } from "../enums.ts";
import { utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** The rest of a longer message is cut off. */
const MESSAGE_BYTES_MAX = 64 * 1024;

export function logFunctions(vm: Vm): HostFunctions {
  return {
    proxy_log(level: number, pointer: number, length: number): Status {
      if (level >>> 0 > LogLevel.critical) return Status.badArgument;
      if (!vm.memory.isInside(pointer, length)) return Status.invalidMemoryAccess;
      const start = pointer >>> 0;
      const end = start + Math.min(length >>> 0, MESSAGE_BYTES_MAX);
      vm.log(level as LogLevel, utf8(vm.memory.bytes.subarray(start, end)));
      return Status.ok;
    },
    proxy_get_log_level(outLevel: number): Status {
      return vm.memory.writeU32(outLevel, vm.services.logLevel());
    },
  };
}
