//! Time: proxy_get_current_time_nanoseconds, proxy_set_tick_period_milliseconds.

import { Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** Node's timers take at most 2^31 - 1 ms (24.8 days); longer periods are that. */
const PERIOD_MS_MAX = 0x7fff_ffff;

export function timerFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_current_time_nanoseconds(outTime: number): Status {
      return vm.memory.writeU64(outTime, wallNanoseconds(vm));
    },
    /** Always the root context's, also when a stream asks. */
    proxy_set_tick_period_milliseconds(periodMs: number): Status {
      vm.root?.setTickPeriod(Math.min(periodMs >>> 0, PERIOD_MS_MAX));
      return Status.ok;
    },
  };
}

export function wallNanoseconds(vm: Vm): bigint {
  return BigInt(Math.floor(vm.services.clock.nowMs() * 1000)) * 1000n;
}
