//! Lane filter: at a gateway, tells which of the rules of lanes a request meets that routes cannot
//! express. Which lanes they lead into, and in which order, the routes know.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { Contexts } from "../../../sdk/assemblyscript/assembly/contexts";
import { HeadersAction, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { proxy_replace_header_map_value } from "../../../sdk/assemblyscript/assembly/abi";
import { removeHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { Program, readProgram } from "./configuration";
import { receiveHead } from "./head";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

/** A request itself leaves little behind: the entry of its context in a map. */
const CALLS_PER_COLLECTION: u32 = 256;
const COMMA: u8 = 0x2c;

const contexts = new Contexts<Program>();
let callCount: u32 = 0;

export function proxy_on_context_create(context: u32, root: u32): void {
  contexts.create(context, root);
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const errors: string[] = [];
  const program = readProgram(configurationText(size), errors);
  return contexts.configure("lane-filter", root, program, errors);
}

export function proxy_on_request_headers(stream: u32, _count: u32, _endOfStream: u32): u32 {
  const program = contexts.find(stream);
  if (program !== null) mark(program);
  callCount += 1;
  if (callCount % CALLS_PER_COLLECTION == 0) __collect();
  return HeadersAction.proceed;
}

export function proxy_on_delete(context: u32): void {
  contexts.remove(context);
}

/** Writes `,id,id,` of the rules that are met. What a client or another plug-in wrote goes. */
function mark(program: Program): void {
  const header = program.header;
  const rules = program.rules;
  if (!receiveHead(program.needsAddress)) {
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
