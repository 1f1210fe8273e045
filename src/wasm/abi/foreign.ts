//! Foreign functions: Envoy's extension point. Here: clear_route_cache. Others answer NOT_FOUND,
//! as an unknown name does in Envoy.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const NAME_BYTES_MAX = 256;

export function foreignFunctions(vm: Vm): HostFunctions {
  const clearRouteCache = (): Status => {
    if (vm.stream === null) return Status.badArgument;
    vm.stream.host.clearRouteCache();
    return Status.ok;
  };
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_call_foreign_function(
      name: number,
      nameLength: number,
      parameters: number,
      parametersLength: number,
      outResult: number,
      outLength: number,
    ): Status {
      const { memory } = vm;
      if (!memory.isInside(name, nameLength) || !memory.isInside(parameters, parametersLength)) {
        return Status.invalidMemoryAccess;
      }
      const start = name >>> 0;
      const end = start + Math.min(nameLength >>> 0, NAME_BYTES_MAX);
      if (latin1(memory.bytes.subarray(start, end)) !== "clear_route_cache") return Status.notFound;
      const status = clearRouteCache();
      // Both out addresses may be 0: the caller wants no result.
      if (status !== Status.ok || outResult === 0 || outLength === 0) return status;
      return memory.giveLatin1("", outResult, outLength);
    },
    /** ABI 0.1.0 only. */
    proxy_clear_route_cache: clearRouteCache,
  };
}
