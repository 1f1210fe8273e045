//! Lane context: reads, writes and removes the lane of a request in W3C baggage, in gateways and
//! sidecars that are real Envoys.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { Contexts } from "../../../sdk/assemblyscript/assembly/contexts";
import {
  proxy_define_metric,
  proxy_increment_metric,
} from "../../../sdk/assemblyscript/assembly/abi";
import { HeadersAction } from "../../../sdk/assemblyscript/assembly/enums";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Group, Settings, Step, readSettings } from "./configuration";
import { contextTag, removeContext, removeMembers, writeContext, writeMember } from "./context";
import { fieldOf, isManyChars, removeField, setField } from "./field-text";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

const CALLS_PER_COLLECTION: u32 = 256;
const METRIC: usize = memory.data(4);
/** Stands for a tag that is empty: it says that there is one, and no lane is called so. */
const EMPTY_TAG = ",";

/** By the context of a plug-in's configuration: a VM may have several. */
const contexts = new Contexts<Settings>();
let callCount: u32 = 0;
let dropped: u32 = 0;

export function proxy_on_context_create(context: u32, root: u32): void {
  contexts.create(context, root);
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const errors: string[] = [];
  const settings = readSettings(configurationText(size), errors);
  const outcome = contexts.configure("lane-context", root, settings, errors);
  if (outcome == 0) return 0;
  const name = new Utf8("graylane_lane_context_members_dropped");
  proxy_define_metric(0, name.pointer, name.length, METRIC);
  dropped = load<u32>(METRIC);
  return 1;
}

export function proxy_on_request_headers(stream: u32, _count: u32, _endOfStream: u32): u32 {
  const settings = contexts.find(stream);
  if (settings !== null) edit(settings);
  callCount += 1;
  if (isManyChars() || callCount % CALLS_PER_COLLECTION == 0) __collect();
  return HeadersAction.proceed;
}

export function proxy_on_delete(context: u32): void {
  contexts.remove(context);
}

function edit(settings: Settings): void {
  removeMembers(settings.removedMembers);
  let droppedCount = 0;
  for (let index = 0; index < settings.groups.length; index++) {
    droppedCount += run(settings.groups[index]);
  }
  if (droppedCount > 0) proxy_increment_metric(dropped, droppedCount);
  const outside = settings.outside;
  if (outside === null || fieldOf(outside) === null) return;
  removeField(outside);
  removeMembers(settings.members);
}

/** How many members of others were left out. */
function run(group: Group): i32 {
  if (group.step == Step.write) return writeContext(group, group.tag);
  if (group.step == Step.remove) {
    removeContext(group);
    return 0;
  }
  if (group.step == Step.tell) return tell(group);
  const tag = contextTag(group);
  if (group.step == Step.carry) return tag === null ? 0 : writeContext(group, tag);
  if (tag === null) removeField(group.header);
  else setField(group.header, tag == "" ? EMPTY_TAG : tag);
  return 0;
}

/** A route has written which lane a request is in. */
function tell(group: Group): i32 {
  const tag = fieldOf(group.header);
  if (tag === null) return 0;
  removeField(group.header);
  return writeMember(group, tag);
}
