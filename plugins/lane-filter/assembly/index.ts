//! Lane filter: at a gateway, tells which of the rules of lanes a request meets that routes cannot
//! express. Which lanes they lead into, and in which order, the routes know.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { Contexts } from "../../../sdk/assemblyscript/assembly/contexts";
import { BodyAction, HeadersAction, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { proxy_replace_header_map_value } from "../../../sdk/assemblyscript/assembly/abi";
import { removeHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { setBody } from "./body";
import { Program, readProgram } from "./configuration";
import { receiveHead } from "./head";
import { Held } from "./held";
import { forgetParts } from "./multipart";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

/** A request itself leaves little behind: the entry of its context in a map. */
const CALLS_PER_COLLECTION: u32 = 256;
const COMMA: u8 = 0x2c;

const contexts = new Contexts<Program>();
/** By stream. */
const heldBack: Map<u32, Held> = new Map();
let callCount: u32 = 0;

export function proxy_on_context_create(context: u32, root: u32): void {
  contexts.create(context, root);
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const errors: string[] = [];
  const program = readProgram(configurationText(size), errors);
  return contexts.configure("lane-filter", root, program, errors);
}

export function proxy_on_request_headers(stream: u32, _count: u32, endOfStream: u32): u32 {
  const program = contexts.find(stream);
  callCount += 1;
  if (callCount % CALLS_PER_COLLECTION == 0) __collect();
  if (program === null) return HeadersAction.proceed;
  const token = program.token;
  if (token !== null) {
    token.make();
    return HeadersAction.proceed;
  }
  const scope = endOfStream == 0 ? program.body : null;
  if (scope !== null && scope.holds(<usize>program.bodyBytesMax)) {
    heldBack.set(stream, new Held(program));
    return HeadersAction.stop;
  }
  mark(program);
  return HeadersAction.proceed;
}

/**
 * What has come is the host's to keep meanwhile, which asks for no more when it is too much: that
 * is more than any rule reads. `size`: of what has come now.
 */
export function proxy_on_request_body(stream: u32, size: u32, endOfStream: u32): u32 {
  if (heldBack.size == 0 || !heldBack.has(stream)) return BodyAction.proceed;
  const held = heldBack.get(stream);
  held.take(size);
  if (endOfStream == 0 && !held.isCut) return BodyAction.stopAndWatermark;
  decide(stream, held);
  return BodyAction.proceed;
}

/** What of the body had come before is all there is. */
export function proxy_on_request_trailers(stream: u32, _count: u32): u32 {
  if (heldBack.has(stream)) decide(stream, heldBack.get(stream));
  return BodyAction.proceed;
}

export function proxy_on_delete(context: u32): void {
  contexts.remove(context);
  if (heldBack.size > 0 && heldBack.has(context)) drop(context, heldBack.get(context));
}

function decide(stream: u32, held: Held): void {
  setBody(held.start, held.length, held.isCut);
  mark(held.program);
  setBody(0, 0, false);
  forgetParts();
  drop(stream, held);
}

function drop(stream: u32, held: Held): void {
  held.free();
  heldBack.delete(stream);
}

/** Writes `,id,id,` of the rules that are met. What a client or another plug-in wrote goes. */
function mark(program: Program): void {
  const header = program.header;
  const rules = program.rules;
  const claims = program.claims;
  if (claims !== null) claims.prove();
  const isHeadThere = receiveHead(program.needsAddress);
  const bucket = program.bucket;
  if (bucket !== null) bucket.mark(isHeadThere);
  if (!isHeadThere) {
    removeHeader(MapKind.requestHeaders, header);
    return;
  }
  const text = heap.alloc(program.bytesMax);
  store<u8>(text, COMMA);
  let length: usize = 1;
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index];
    if (!rule.condition.isMet()) continue;
    memory.copy(text + length, rule.id.pointer, rule.id.length);
    length += rule.id.length;
  }
  if (length > 1) {
    proxy_replace_header_map_value(
      MapKind.requestHeaders,
      header.pointer,
      header.length,
      text,
      length,
    );
  } else removeHeader(MapKind.requestHeaders, header);
  heap.free(text);
}
