//! Lane bucket: at a gateway, tells by a user's key which bucket of the lanes' shares a request is
//! in. Which buckets are in which lane, the routes know.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { Contexts } from "../../../sdk/assemblyscript/assembly/contexts";
import { HeadersAction, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import {
  receiveHeader,
  removeHeader,
  setHeader,
} from "../../../sdk/assemblyscript/assembly/headers";
import { receiveProperty } from "../../../sdk/assemblyscript/assembly/properties";
import { receivedLength, receivedPointer } from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { KeyKind, Settings, readSettings } from "./configuration";
import { bucketOf } from "../../../sdk/assemblyscript/assembly/key-hash";
import { addressKey, cookieKey, foundLength, foundStart, hopKey } from "../../../sdk/assemblyscript/assembly/request-key";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

const CALLS_PER_COLLECTION: u32 = 256;
const SOURCE_ADDRESS = new Utf8("source\0address");

/** By the context of a plug-in's configuration: a VM may have several. */
const contexts = new Contexts<Settings>();
let callCount: u32 = 0;

export function proxy_on_context_create(context: u32, root: u32): void {
  contexts.create(context, root);
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const errors: string[] = [];
  const settings = readSettings(configurationText(size), errors);
  return contexts.configure("lane-bucket", root, settings, errors);
}

export function proxy_on_request_headers(stream: u32, _count: u32, _endOfStream: u32): u32 {
  const settings = contexts.find(stream);
  if (settings !== null) mark(settings);
  callCount += 1;
  if (callCount % CALLS_PER_COLLECTION == 0) __collect();
  return HeadersAction.proceed;
}

export function proxy_on_delete(context: u32): void {
  contexts.remove(context);
}

/** Nobody else's bucket counts: neither a client's nor that of another plug-in. */
function mark(settings: Settings): void {
  if (!findKey(settings) || foundLength() == 0) {
    removeHeader(MapKind.requestHeaders, settings.header);
    return;
  }
  const prefix = settings.prefix;
  const length = <usize>prefix.byteLength + foundLength();
  const bytes = heap.alloc(length);
  memory.copy(bytes, changetype<usize>(prefix), prefix.byteLength);
  memory.copy(bytes + prefix.byteLength, foundStart(), foundLength());
  const bucket = bucketOf(settings.hash, bytes, length, settings.modulo);
  heap.free(bytes);
  setHeader(MapKind.requestHeaders, settings.header, new Utf8(bucket.toString()));
}

/** What is found stays until something else is received. */
function findKey(settings: Settings): bool {
  if (settings.kind == KeyKind.clientIp) {
    const hasHops = settings.trustedHops > 0;
    if (hasHops && receiveHeader(MapKind.requestHeaders, settings.source)) {
      if (hopKey(receivedPointer(), receivedLength(), settings.trustedHops)) return true;
    }
    return receiveProperty(SOURCE_ADDRESS) && addressKey(receivedPointer(), receivedLength());
  }
  if (!receiveHeader(MapKind.requestHeaders, settings.source)) return false;
  const isCookie = settings.kind == KeyKind.cookie;
  return cookieKey(receivedPointer(), receivedLength(), isCookie ? settings.cookie : null);
}
