//! WASI preview 1 as language runtimes need it to start and to panic: no files, no sockets, no
//! arguments. Every name is there, so that every module links; results are Envoy's.

import { randomFillSync } from "node:crypto";
import { LogLevel } from "../enums.ts";
import { utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";
import { WASI_FUNCTIONS } from "./signatures.ts";
import { wallNanoseconds } from "./timers.ts";

/** WASI's own error numbers. */
const Errno = { ok: 0, badf: 8, fault: 21, inval: 28, noent: 44, nosys: 52, notsup: 58 } as const;
type Errno = (typeof Errno)[keyof typeof Errno] | typeof NOT_A_DIRECTORY;
const NOT_A_DIRECTORY = 20;

const STDOUT = 1;
const STDERR = 2;
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const RANDOM_BYTES_MAX = 64 * 1024;
const WRITE_BYTES_MAX = 64 * 1024;
const VECTORS_MAX = 1024;
/** struct fdstat: 24 bytes; rights_base bit 6 is fd_write. */
const FDSTAT_BYTES = 24;
const FDSTAT_RIGHTS_AT = 8;
const RIGHT_FD_WRITE = 0x40;

/** Harmless successes of functions that have nothing to do here. */
const DONE = ["fd_advise", "fd_close", "fd_seek", "sched_yield"] as const;
const NOT_SYSTEM = ["fd_read", "fd_pread", "fd_fdstat_set_flags", "fd_prestat_dir_name"] as const;
const BAD_DESCRIPTOR = ["fd_prestat_get", "fd_filestat_get"] as const;

export function wasiFunctions(vm: Vm): HostFunctions {
  const functions: HostFunctions = {};
  const answer = (names: readonly string[], errno: Errno): void => {
    for (const name of names) functions[name] = () => errno;
  };
  answer(Object.keys(WASI_FUNCTIONS), Errno.notsup);
  answer(DONE, Errno.ok);
  answer(NOT_SYSTEM, Errno.nosys);
  answer(BAD_DESCRIPTOR, Errno.badf);
  answer(["fd_readdir"], NOT_A_DIRECTORY);
  answer(["path_open"], Errno.noent);
  return { ...functions, ...processFunctions(vm), ...clockFunctions(vm), ...outputFunctions(vm) };
}

function processFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const encoder = new TextEncoder();
  const environment = Object.entries(vm.settings.env).map(([key, value]) =>
    encoder.encode(`${key}=${value}\0`),
  );
  const sizes = (outCount: number, outBytes: number, values: readonly Uint8Array[]): Errno => {
    const bytes = values.reduce((sum, value) => sum + value.length, 0);
    const isWritten =
      memory.writeU32(outCount, values.length) === 0 && memory.writeU32(outBytes, bytes) === 0;
    return isWritten ? Errno.ok : Errno.fault;
  };
  return {
    args_get: () => Errno.ok,
    args_sizes_get: (outCount: number, outBytes: number) => sizes(outCount, outBytes, []),
    environ_sizes_get: (outCount: number, outBytes: number) =>
      sizes(outCount, outBytes, environment),
    environ_get(outPointers: number, outBytes: number): Errno {
      let at = outBytes >>> 0;
      for (const [index, value] of environment.entries()) {
        if (memory.writeU32((outPointers >>> 0) + 4 * index, at) !== 0) return Errno.fault;
        if (!memory.isInside(at, value.length)) return Errno.fault;
        memory.bytes.set(value, at);
        at += value.length;
      }
      return Errno.ok;
    },
    random_get(pointer: number, length: number): Errno {
      if (length >>> 0 > RANDOM_BYTES_MAX) return Errno.inval;
      if (!memory.isInside(pointer, length)) return Errno.fault;
      randomFillSync(memory.bytes, pointer >>> 0, length >>> 0);
      return Errno.ok;
    },
    /** Returns, as in Envoy: runtimes trap on their own right after. */
    proc_exit(code: number): undefined {
      vm.log(LogLevel.trace, `proc_exit(${code}) was ignored`);
    },
  };
}

function clockFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const isKnown = (id: number): boolean => id === CLOCK_REALTIME || id === CLOCK_MONOTONIC;
  return {
    clock_res_get(id: number, outResolution: number): Errno {
      if (!isKnown(id)) return Errno.notsup;
      return memory.writeU64(outResolution, 1n) === 0 ? Errno.ok : Errno.fault;
    },
    clock_time_get(id: number, _precision: bigint, outTime: number): Errno {
      if (!isKnown(id)) return Errno.notsup;
      const monotonicMs = vm.services.clock.monotonicMs();
      const time =
        id === CLOCK_REALTIME ? wallNanoseconds(vm) : BigInt(Math.round(monotonicMs * 1e6));
      return memory.writeU64(outTime, time) === 0 ? Errno.ok : Errno.fault;
    },
    /** Nothing is ever waited for. Go's scheduler needs the count written. */
    poll_oneoff(_in: number, _out: number, _count: number, outCount: number): Errno {
      return memory.writeU32(outCount, 0) === 0 ? Errno.ok : Errno.fault;
    },
  };
}

function outputFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    fd_write(fd: number, vectors: number, count: number, outWritten: number): Errno {
      if (fd !== STDOUT && fd !== STDERR) return Errno.badf;
      const chunks = readVectors(vm, vectors >>> 0, count >>> 0);
      if (chunks === null) return Errno.fault;
      const bytes = Buffer.concat(chunks);
      if (bytes.length > 0) {
        const text = utf8(bytes.subarray(0, WRITE_BYTES_MAX)).replace(/\n$/, "");
        vm.log(fd === STDOUT ? LogLevel.info : LogLevel.error, text);
      }
      return memory.writeU32(outWritten, bytes.length) === 0 ? Errno.ok : Errno.fault;
    },
    fd_fdstat_get(fd: number, outStat: number): Errno {
      if (fd !== STDOUT && fd !== STDERR) return Errno.badf;
      if (memory.fillZero(outStat, FDSTAT_BYTES) !== 0) return Errno.fault;
      memory.writeU8((outStat >>> 0) + FDSTAT_RIGHTS_AT, RIGHT_FD_WRITE);
      return Errno.ok;
    },
  };
}

/** The bytes of an iovec list, or null when any address is bad. */
function readVectors(vm: Vm, vectors: number, count: number): Uint8Array[] | null {
  const { memory } = vm;
  if (count > VECTORS_MAX || !memory.isInside(vectors, 8 * count)) return null;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let index = 0; index < count; index++) {
    const pointer = memory.u32At(vectors + 8 * index);
    const length = memory.u32At(vectors + 8 * index + 4);
    bytes += length;
    // Many vectors may name the same bytes: without this, 8 KiB of them could name gigabytes.
    if (bytes > memory.bytes.length || !memory.isInside(pointer, length)) return null;
    chunks.push(memory.bytes.subarray(pointer, pointer + length));
  }
  return chunks;
}
