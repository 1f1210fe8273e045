//! Names that are looked up through the embedder: `envoy_resolve_dns`.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** As text a name has at most 253 (RFC 1035 section 2.3.4). */
const NAME_BYTES_MAX = 255;

export function dnsFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    envoy_resolve_dns(name: number, nameLength: number, outToken: number): Status {
      const bytes = memory.copy(name, nameLength);
      if (bytes === null || !memory.isInside(outToken, 4)) return Status.invalidMemoryAccess;
      const { root } = vm;
      const { dns } = vm.services;
      if (root === null || dns === undefined) return Status.unimplemented;
      if (bytes.length > NAME_BYTES_MAX) return Status.badArgument;
      const token = root.names.start(root, dns, latin1(bytes));
      if (token === null) return Status.internalFailure;
      return memory.writeU32(outToken, token);
    },
  };
}
