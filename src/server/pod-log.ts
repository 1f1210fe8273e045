//! Logs, of pods (`GET .../pods/<name>/log`) and of plug-ins: the kept lines, and with `follow` the
//! coming ones.

import { once } from "node:events";
import { parameter, type Call } from "./call.ts";
import { badRequest, notFound, refuse } from "./status.ts";

const TAIL_LINES_MAX = 1_000_000;

export async function streamPodLog(call: Call): Promise<void> {
  const [namespace, name] = [parameter(call, "namespace"), parameter(call, "name")];
  const follow = call.query.get("follow") === "true";
  const options = { follow, tailLines: tailLinesOf(call) };
  const lines = call.dependencies.podLog(namespace, name, options, call.signal);
  if (lines === null) throw notFound(`a log of the pod ${namespace}/${name}`);
  await stream(call, "text/plain; charset=utf-8", lines);
}

/** Each line is a JSON object. */
export async function streamPluginLog(call: Call): Promise<void> {
  const query = {
    plugin: call.query.get("plugin") ?? "",
    follow: call.query.get("follow") === "true",
    tailLines: tailLinesOf(call),
    sinceMs: sinceOf(call),
  };
  const lines = call.dependencies.pluginLog(query, call.signal);
  if (typeof lines === "string") throw refuse(404, "NotFound", lines);
  await stream(call, "application/x-ndjson", asJson(lines));
}

async function* asJson(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield JSON.stringify(value);
}

async function stream(call: Call, type: string, lines: AsyncIterable<string>): Promise<void> {
  call.streams.add(call);
  const { response } = call;
  response.writeHead(200, { "content-type": type, "x-content-type-options": "nosniff" });
  response.flushHeaders();
  for await (const line of lines) {
    if (call.signal.aborted) return;
    if (!response.write(`${line}\n`)) await drained(call);
  }
  response.end();
}

/** Also returns when the client has gone. */
async function drained(call: Call): Promise<void> {
  try {
    await once(call.response, "drain", { signal: call.signal });
  } catch {
    // Aborted: the loop sees it.
  }
}

function tailLinesOf(call: Call): number | null {
  const text = call.query.get("tailLines");
  if (text === null || text === "") return null;
  const count = Number(text);
  if (Number.isInteger(count) && count >= 0 && count <= TAIL_LINES_MAX) return count;
  throw badRequest(`tailLines must be a whole number, is ${JSON.stringify(text)}`);
}

function sinceOf(call: Call): number {
  const text = call.query.get("sinceMs") ?? "";
  if (/^\d{0,15}$/.test(text)) return Number(text);
  throw badRequest(`sinceMs must be milliseconds since 1970, is ${JSON.stringify(text)}`);
}
