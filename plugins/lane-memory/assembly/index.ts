//! Lane memory: in a sidecar, remembers by a trace id which lane a request came in, and gives it
//! back to the calls that the app makes for it. ASM's mode: the app forwards one header.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { Contexts } from "../../../sdk/assemblyscript/assembly/contexts";
import {
  proxy_define_metric,
  proxy_get_current_time_nanoseconds,
  proxy_increment_metric,
} from "../../../sdk/assemblyscript/assembly/abi";
import { HeadersAction, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { getHeader, setHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Group, Settings, readSettings } from "./configuration";
import { Outcome, begin, end, lookup } from "./table";
import { firstOf, traceIdOf } from "./trace-id";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

const CALLS_PER_COLLECTION: u32 = 256;
const NANOS_PER_MS: f64 = 1000000;
const NOW: usize = memory.data(8);
const METRIC: usize = memory.data(4);

/** By the context of a plug-in's configuration: one module serves both sides of the sidecar. */
const contexts = new Contexts<Settings>();
/** What a stream has recorded. */
const recordedBy = new Map<u32, Recorded[]>();
let callCount: u32 = 0;
let conflicts: u32 = 0;
let overflows: u32 = 0;

class Recorded {
  constructor(
    public group: string,
    public id: string,
  ) {}
}

export function proxy_on_context_create(context: u32, root: u32): void {
  contexts.create(context, root);
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const errors: string[] = [];
  const settings = readSettings(configurationText(size), errors);
  const outcome = contexts.configure("lane-memory", root, settings, errors);
  if (outcome == 0) return 0;
  conflicts = counter("graylane_lane_memory_conflicts");
  overflows = counter("graylane_lane_memory_overflows");
  return 1;
}

export function proxy_on_request_headers(stream: u32, _count: u32, _endOfStream: u32): u32 {
  const settings = contexts.find(stream);
  if (settings !== null) {
    for (let index = 0; index < settings.groups.length; index++) {
      const group = settings.groups[index];
      if (settings.isInbound) remember(stream, group);
      else restore(group);
    }
  }
  collectSometimes();
  return HeadersAction.proceed;
}

/** All that is kept is looked at each time: often would be dear with many requests in flight. */
function collectSometimes(): void {
  callCount += 1;
  if (callCount % CALLS_PER_COLLECTION == 0) __collect();
}

export function proxy_on_done(stream: u32): u32 {
  if (recordedBy.has(stream)) {
    const recorded = recordedBy.get(stream);
    for (let index = 0; index < recorded.length; index++) {
      end(recorded[index].group, recorded[index].id, nowMs());
    }
    recordedBy.delete(stream);
  }
  return 1;
}

export function proxy_on_delete(context: u32): void {
  contexts.remove(context);
}

function remember(stream: u32, group: Group): void {
  const id = traceIdOf(group.traceName, getHeader(MapKind.requestHeaders, group.traceHeader));
  if (id == "") return;
  const carried = getHeader(MapKind.requestHeaders, group.routeHeader);
  const tag = carried === null ? "" : firstOf(carried);
  const outcome = begin(group.name, id, tag, nowMs());
  if (outcome == Outcome.conflict) proxy_increment_metric(conflicts, 1);
  if (outcome == Outcome.overflow) {
    proxy_increment_metric(overflows, 1);
    return;
  }
  const recorded = recordedBy.has(stream) ? recordedBy.get(stream) : new Array<Recorded>();
  recorded.push(new Recorded(group.name, id));
  recordedBy.set(stream, recorded);
}

/** What the app itself has written counts first. */
function restore(group: Group): void {
  const carried = getHeader(MapKind.requestHeaders, group.routeHeader);
  if (carried !== null && carried != "") return;
  const id = traceIdOf(group.traceName, getHeader(MapKind.requestHeaders, group.traceHeader));
  if (id == "") return;
  const tag = lookup(group.name, id, nowMs());
  if (tag != "") setHeader(MapKind.requestHeaders, group.routeHeader, new Utf8(tag));
}

function nowMs(): f64 {
  proxy_get_current_time_nanoseconds(NOW);
  return <f64>load<u64>(NOW) / NANOS_PER_MS;
}

function counter(name: string): u32 {
  const text = new Utf8(name);
  proxy_define_metric(0, text.pointer, text.length, METRIC);
  return load<u32>(METRIC);
}
