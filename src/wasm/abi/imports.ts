//! Gathers the faces of the ABI into the import object of one VM.

import { LogLevel, Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import { bufferFunctions } from "./buffers.ts";
import { contextFunctions } from "./contexts.ts";
import { dnsFunctions } from "./dns.ts";
import { foreignFunctions } from "./foreign.ts";
import { headerFunctions } from "./headers.ts";
import { higressFunctions } from "./higress.ts";
import { grpcFunctions } from "./grpc.ts";
import { callFunctions } from "./http-call.ts";
import { localResponseFunctions } from "./local-response.ts";
import { logFunctions } from "./log.ts";
import { metricFunctions } from "./metrics.ts";
import { propertyFunctions } from "./properties.ts";
import { redisFunctions } from "./redis.ts";
import { sharedDataFunctions } from "./shared-data.ts";
import { sharedQueueFunctions } from "./shared-queue.ts";
import { importSignature } from "./signatures.ts";
import { timerFunctions } from "./timers.ts";
import { wasiFunctions } from "./wasi.ts";

/** WASI's errno. */
const NOT_CAPABLE = 76;

/** Host functions of one face. i64 parameters arrive as BigInt. */
export type HostFunctions = Record<string, (...parameters: never[]) => number | undefined>;

/** Everything that the module's ABI version has; a function of another version is left out. */
export function createImports(vm: Vm): Record<string, HostFunctions> {
  const env: HostFunctions = {};
  const faces = [
    logFunctions(vm),
    timerFunctions(vm),
    contextFunctions(vm),
    propertyFunctions(vm),
    headerFunctions(vm),
    bufferFunctions(vm),
    localResponseFunctions(vm),
    foreignFunctions(vm),
    metricFunctions(vm),
    sharedDataFunctions(vm),
    sharedQueueFunctions(vm),
    callFunctions(vm),
    dnsFunctions(vm),
    grpcFunctions(vm),
    redisFunctions(vm),
    higressFunctions(vm),
  ];
  for (const face of faces) {
    for (const [name, run] of Object.entries(face)) {
      if (importSignature("env", name, vm.module.abiVersion) !== undefined) env[name] = run;
    }
  }
  const wasi = wasiFunctions(vm);
  const { capabilities } = vm.settings;
  if (capabilities !== undefined) {
    restrict(env, { vm, capabilities, answer: Status.internalFailure });
    restrict(wasi, { vm, capabilities, answer: NOT_CAPABLE });
  }
  return { env, wasi_snapshot_preview1: wasi, wasi_unstable: wasi };
}

/** As Envoy: what may not be called can be imported, says so in the log, and answers an error. */
function restrict(
  functions: HostFunctions,
  {
    vm,
    capabilities,
    answer,
  }: { readonly vm: Vm; readonly capabilities: ReadonlySet<string>; readonly answer: number },
): void {
  for (const name of Object.keys(functions)) {
    if (capabilities.has(name)) continue;
    functions[name] = () => {
      vm.log(LogLevel.error, `Attempted call to restricted proxy-wasm capability: ${name}`);
      return answer;
    };
  }
}
