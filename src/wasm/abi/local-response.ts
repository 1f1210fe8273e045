//! proxy_send_local_response: a plug-in answers the exchange itself.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import { decodePairs } from "../header-pairs.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** A final status (RFC 9110 section 15); Envoy takes any number, which breaks the message. */
const STATUS_MIN = 200;
const STATUS_MAX = 999;
const GRPC_STATUS_MAX = 16;
const DETAILS_BYTES_MAX = 256;

export function localResponseFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_send_local_response(
      status: number,
      details: number,
      detailsLength: number,
      body: number,
      bodyLength: number,
      pairs: number,
      pairsLength: number,
      grpcStatus: number,
    ): Status {
      if (!memory.isInside(details, detailsLength)) return Status.invalidMemoryAccess;
      const bodyBytes = memory.copy(body, bodyLength);
      const pairBytes = memory.copy(pairs, pairsLength);
      if (bodyBytes === null || pairBytes === null) return Status.invalidMemoryAccess;
      const headers = decodePairs(pairBytes);
      if (vm.stream === null || headers === null) return Status.badArgument;
      if (status < STATUS_MIN || status > STATUS_MAX) return Status.badArgument;
      const start = details >>> 0;
      const end = start + Math.min(detailsLength >>> 0, DETAILS_BYTES_MAX);
      vm.stream.respond({
        status,
        details: latin1(memory.bytes.subarray(start, end)).replace(/\s/g, "_"),
        body: bodyBytes,
        headers,
        grpcStatus: grpcStatus >>> 0 > GRPC_STATUS_MAX ? null : grpcStatus,
      });
      return Status.ok;
    },
  };
}
