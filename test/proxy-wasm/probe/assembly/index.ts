// A plug-in that does what the request tells it to: `x-probe` has lines `phase function arguments`,
// separated by `;`. `phase return 1` is the callback's answer. Everything is logged, so that two
// hosts can be compared line by line. Lines of the plug-in's own phases are in its configuration.

import { log } from "./host";
import { received, run, show } from "./script";

@external("env", "proxy_get_header_map_value")
declare function getHeader(map: i32, key: i32, keyLength: i32, out: i32, outLength: i32): i32;
@external("env", "proxy_get_buffer_bytes")
declare function getBuffer(kind: i32, start: i32, length: i32, out: i32, outLength: i32): i32;

/** Phases of a line that begins with `*`. */
const EVERYWHERE = " rh rb1 sh sb1 log done delete ";

const scripts = new Map<i32, string>();
const names = new Map<i32, string>();
let configuration = "";
/** Of the newest stream: callbacks of calls come on the root context. */
let lastScript = "";
let lastName = "start";
let lastStream = 0;

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  log("abort " + (message === null ? "" : message));
  unreachable();
}

export function proxy_abi_version_0_2_1(): void {}

export function malloc(size: i32): i32 {
  return changetype<i32>(heap.alloc(size));
}

function text(pointer: i32, length: i32): string {
  return String.UTF8.decodeUnsafe(pointer, length);
}

function header(name: string): string {
  const key = String.UTF8.encode(name);
  const out = changetype<i32>(heap.alloc(8));
  const status = getHeader(0, changetype<i32>(key), key.byteLength, out, out + 4);
  return status == 0 ? text(load<i32>(out), load<i32>(out + 4)) : "";
}

/** Runs the lines of a phase; returns what the callback shall answer. */
function play(script: string, phase: string, prefix: string, stream: i32, otherwise: i32): i32 {
  let answer = otherwise;
  const lines = script.split(";");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index].trim();
    const isEverywhere = line.startsWith("* ") && EVERYWHERE.includes(" " + phase + " ");
    if (!isEverywhere && !line.startsWith(phase + " ")) continue;
    const rest = line.substring(line.indexOf(" ") + 1);
    if (rest.startsWith("return ")) answer = <i32>parseInt(rest.substring(7));
    else if (rest == "trap") unreachable();
    else run(prefix + " " + phase, rest, stream);
  }
  return answer;
}

/** Of a call's token: how many calls there were before is not compared. */
function kindOf(token: i32): string {
  return (token & 3).toString();
}

function own(id: i32, phase: string, details: string): i32 {
  const name = names.has(id) ? names.get(id) : lastName;
  log(name + " " + phase + details);
  return play(scripts.has(id) ? scripts.get(id) : "", phase, name, id, 0);
}

/** The last callback of a body also runs the phase with `1` behind its name. */
function ended(id: i32, phase: string, answer: i32, end: i32): i32 {
  if (end == 0 || !scripts.has(id)) return answer;
  return play(scripts.get(id), phase + "1", names.get(id), id, answer);
}

function ofRoot(phase: string, details: string, otherwise: i32): i32 {
  log(lastName + " " + phase + details);
  const answer = play(configuration, phase, lastName, lastStream, otherwise);
  return play(lastScript, phase, lastName, lastStream, answer);
}

export function proxy_on_context_create(id: i32, parent: i32): void {
  if (parent == 0) log("start context_create");
}

export function proxy_on_vm_start(root: i32, size: i32): i32 {
  log("start vm_start " + size.toString());
  return 1;
}

export function proxy_on_configure(root: i32, size: i32): i32 {
  const out = changetype<i32>(heap.alloc(8));
  getBuffer(7, 0, size, out, out + 4);
  configuration = text(load<i32>(out), load<i32>(out + 4));
  return ofRoot("configure", "", 1);
}

export function proxy_on_tick(root: i32): void {
  ofRoot("tick", "", 0);
}

export function proxy_on_request_headers(id: i32, count: i32, end: i32): i32 {
  const script = header("x-probe");
  scripts.set(id, script);
  names.set(id, header("x-case"));
  lastScript = script;
  lastName = names.get(id);
  lastStream = id;
  received.length = 0;
  return own(id, "rh", " end=" + end.toString());
}

export function proxy_on_request_body(id: i32, size: i32, end: i32): i32 {
  return ended(id, "rb", own(id, "rb", " size=" + size.toString() + " end=" + end.toString()), end);
}

export function proxy_on_request_trailers(id: i32, count: i32): i32 {
  return own(id, "rt", " count=" + count.toString());
}

export function proxy_on_response_headers(id: i32, count: i32, end: i32): i32 {
  return own(id, "sh", " end=" + end.toString());
}

export function proxy_on_response_body(id: i32, size: i32, end: i32): i32 {
  return ended(id, "sb", own(id, "sb", " size=" + size.toString() + " end=" + end.toString()), end);
}

export function proxy_on_response_trailers(id: i32, count: i32): i32 {
  return own(id, "st", " count=" + count.toString());
}

export function proxy_on_http_call_response(root: i32, token: i32, headers: i32, body: i32, trailers: i32): void {
  const sizes = " body=" + body.toString() + " trailers=" + trailers.toString();
  ofRoot("call", (headers > 0 ? " answered" : " failed") + sizes, 0);
}

export function proxy_on_grpc_receive_initial_metadata(root: i32, token: i32, count: i32): void {
  ofRoot("gi", " token=" + kindOf(token) + (count > 0 ? " some" : " none"), 0);
}

export function proxy_on_grpc_receive(root: i32, token: i32, size: i32): void {
  ofRoot("gm", " token=" + kindOf(token) + " size=" + size.toString(), 0);
}

export function proxy_on_grpc_receive_trailing_metadata(root: i32, token: i32, count: i32): void {
  ofRoot("gt", " token=" + kindOf(token) + " count=" + count.toString(), 0);
}

export function proxy_on_grpc_close(root: i32, token: i32, status: i32): void {
  ofRoot("gc", " token=" + kindOf(token) + " status=" + status.toString(), 0);
}

export function envoy_on_resolve_dns(root: i32, token: i32, size: i32): void {
  ofRoot("dns", size > 0 ? " found" : " nothing", 0);
}

export function proxy_on_queue_ready(root: i32, token: i32): void {
  ofRoot("queue", "", 0);
}

export function proxy_on_log(id: i32): void {
  own(id, "log", "");
}

export function proxy_on_done(id: i32): i32 {
  return scripts.has(id) ? own(id, "done", "") : 1;
}

export function proxy_on_delete(id: i32): void {
  if (!scripts.has(id)) return;
  own(id, "delete", "");
  scripts.delete(id);
  names.delete(id);
}
