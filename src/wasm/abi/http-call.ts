//! Calls out of a plug-in: HTTP, gRPC, DNS. A later part: they answer UNIMPLEMENTED, and since no
//! call has ever been made, proxy_get_status answers what Envoy answers then: 0 and no text.

import { Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

export function callFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const unimplemented = (): Status => Status.unimplemented;
  return {
    proxy_get_status(outCode: number, outText: number, outLength: number): Status {
      const status = memory.writeU32(outCode, 0);
      return status === Status.ok ? memory.giveLatin1("", outText, outLength) : status;
    },
    proxy_http_call: unimplemented,
    proxy_grpc_call: unimplemented,
    proxy_grpc_stream: unimplemented,
    proxy_grpc_send: unimplemented,
    proxy_grpc_close: unimplemented,
    proxy_grpc_cancel: unimplemented,
    envoy_resolve_dns: unimplemented,
  };
}
