// As index.ts, for connections: which script runs is the last number of the client's address. The
// configuration is a tag for its lines, then one script for each number, separated by `|`. A phase
// is also run with the count of its calls behind its name (`dd2`).

import { log } from "./host";
import { received, run } from "./script";

@external("env", "proxy_get_property")
declare function getProperty(path: i32, length: i32, out: i32, outLength: i32): i32;
@external("env", "proxy_get_buffer_bytes")
declare function getBuffer(kind: i32, start: i32, length: i32, out: i32, outLength: i32): i32;

class Connection {
  calls: Map<string, i32> = new Map<string, i32>();
  constructor(public number: i32) {}
}

const connections = new Map<i32, Connection>();
let scripts: string[] = [];
let last = 0;

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

/** The last number of `127.0.1.7:4711`. */
function numberOf(): i32 {
  const path = String.UTF8.encode("source\0address");
  const out = changetype<i32>(heap.alloc(8));
  if (getProperty(changetype<i32>(path), path.byteLength, out, out + 4) != 0) return 0;
  const address = text(load<i32>(out), load<i32>(out + 4)).split(":")[0];
  return <i32>parseInt(address.split(".")[3]);
}

function play(script: string, phase: string, prefix: string, stream: i32, otherwise: i32): i32 {
  let answer = otherwise;
  const lines = script.split(";");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index].trim();
    if (!line.startsWith(phase + " ")) continue;
    const rest = line.substring(phase.length + 1);
    if (rest.startsWith("return ")) answer = <i32>parseInt(rest.substring(7));
    else if (rest == "trap") unreachable();
    else run(prefix + " " + phase, rest, stream);
  }
  return answer;
}

function own(id: i32, phase: string, details: string): i32 {
  if (!connections.has(id)) return 0;
  const connection = connections.get(id);
  const prefix = connection.number.toString() + " " + scripts[0];
  const count = (connection.calls.has(phase) ? connection.calls.get(phase) : 0) + 1;
  connection.calls.set(phase, count);
  log(prefix + " " + phase + details);
  if (connection.number >= scripts.length) return 0;
  const script = scripts[connection.number];
  const answer = play(script, phase, prefix, id, 0);
  return play(script, phase + count.toString(), prefix, id, answer);
}

export function proxy_on_configure(root: i32, size: i32): i32 {
  const out = changetype<i32>(heap.alloc(8));
  getBuffer(7, 0, size, out, out + 4);
  scripts = text(load<i32>(out), load<i32>(out + 4)).split("|");
  return 1;
}

export function proxy_on_context_create(id: i32, parent: i32): void {}

export function proxy_on_new_connection(id: i32): i32 {
  connections.set(id, new Connection(numberOf()));
  last = id;
  received.length = 0;
  return own(id, "nc", "");
}

export function proxy_on_downstream_data(id: i32, size: i32, end: i32): i32 {
  return own(id, "dd", " size=" + size.toString() + " end=" + end.toString());
}

export function proxy_on_upstream_data(id: i32, size: i32, end: i32): i32 {
  return own(id, "ud", " size=" + size.toString() + " end=" + end.toString());
}

export function proxy_on_downstream_connection_close(id: i32, peer: i32): void {
  own(id, "dc", " peer=" + peer.toString());
}

export function proxy_on_upstream_connection_close(id: i32, peer: i32): void {
  own(id, "uc", " peer=" + peer.toString());
}

/** An answer comes on the root context: it speaks for the newest connection. */
export function proxy_on_http_call_response(root: i32, token: i32, headers: i32, body: i32, trailers: i32): void {
  own(last, "call", headers > 0 ? " answered" : " failed");
}

export function proxy_on_log(id: i32): void {
  own(id, "log", "");
}

export function proxy_on_done(id: i32): i32 {
  return own(id, "done", "") == 0 ? 1 : 0;
}

export function proxy_on_delete(id: i32): void {
  own(id, "delete", "");
  connections.delete(id);
}
