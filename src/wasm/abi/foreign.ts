//! Foreign functions: Envoy's extension point. Here: clear_route_cache, compress and uncompress
//! (zlib), declare_property, set_envoy_filter_state, sign, verify_signature, and expressions.
//! Others answer NOT_FOUND, as an unknown name does in Envoy.

import { deflateSync, inflateSync } from "node:zlib";
import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import { signText, verifySignature } from "./digital-signature.ts";
import { createExpression, deleteExpression, evaluateExpression } from "./expressions.ts";
import { declareProperty, setEnvoyFilterState } from "./filter-state.ts";
import { HIGRESS_FOREIGN } from "./higress.ts";
import type { HostFunctions } from "./imports.ts";

const NAME_BYTES_MAX = 256;
/** What one call may be given, and may give: a few kilobytes can blow up to gigabytes. */
const INPUT_BYTES_MAX = 1024 * 1024;
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

type ForeignFunction = (vm: Vm, input: Uint8Array) => Uint8Array | Status;

const FUNCTIONS: ReadonlyMap<string, ForeignFunction> = new Map<string, ForeignFunction>([
  ["clear_route_cache", clearRouteCache],
  ["compress", (_vm, input) => compress(input)],
  ["uncompress", (_vm, input) => uncompress(input)],
  ["declare_property", declareProperty],
  ["expr_create", createExpression],
  ["expr_delete", deleteExpression],
  ["expr_evaluate", evaluateExpression],
  ["set_envoy_filter_state", setEnvoyFilterState],
  ["sign", signText],
  ["verify_signature", verifySignature],
]);

export function foreignFunctions(vm: Vm): HostFunctions {
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_call_foreign_function(
      name: number,
      nameLength: number,
      input: number,
      inputLength: number,
      outResult: number,
      outLength: number,
    ): Status {
      const { memory } = vm;
      if (!memory.isInside(name, nameLength) || !memory.isInside(input, inputLength)) {
        return Status.invalidMemoryAccess;
      }
      const start = name >>> 0;
      const end = start + Math.min(nameLength >>> 0, NAME_BYTES_MAX);
      const run = findFunction(vm, latin1(memory.bytes.subarray(start, end)));
      if (run === undefined) return Status.notFound;
      const from = input >>> 0;
      const result = run(vm, memory.bytes.subarray(from, from + (inputLength >>> 0)));
      if (typeof result === "number") return result;
      // Both out addresses may be 0: the caller wants no result.
      if (outResult === 0 || outLength === 0) return Status.ok;
      return memory.giveBytes(result, outResult, outLength);
    },
    /** ABI 0.1.0 only. */
    proxy_clear_route_cache(): Status {
      const result = clearRouteCache(vm);
      return typeof result === "number" ? result : Status.ok;
    },
  };
}

function findFunction(vm: Vm, name: string): ForeignFunction | undefined {
  const own = vm.module.abiVersion === "0.2.100" ? HIGRESS_FOREIGN.get(name) : undefined;
  return own ?? FUNCTIONS.get(name);
}

function clearRouteCache(vm: Vm): Uint8Array | Status {
  if (vm.stream === null) return Status.badArgument;
  vm.stream.host.clearRouteCache();
  return NOTHING;
}

function compress(input: Uint8Array): Uint8Array | Status {
  return input.length > INPUT_BYTES_MAX ? Status.badArgument : deflateSync(input);
}

function uncompress(input: Uint8Array): Uint8Array | Status {
  if (input.length > INPUT_BYTES_MAX) return Status.badArgument;
  try {
    return inflateSync(input, { maxOutputLength: OUTPUT_BYTES_MAX });
  } catch {
    return Status.serializationFailure;
  }
}
