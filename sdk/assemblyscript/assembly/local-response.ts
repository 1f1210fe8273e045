//! Answers in place of the upstream.

import { proxy_send_local_response } from "./abi";
import { Utf8 } from "./text";

/** Answers with a status and a body. The callback must then return `HeadersAction.stop`. */
export function sendLocalResponse(status: u32, body: Utf8): bool {
  const noGrpcStatus: i32 = -1;
  return (
    proxy_send_local_response(status, 0, 0, body.pointer, body.length, 0, 0, noGrpcStatus) == 0
  );
}
