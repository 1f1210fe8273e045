//! Sends a case of the probe over HTTP/2, in clear with prior knowledge.

import { connect, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { systemClock } from "../../src/base/clock.ts";
import { CHUNK_PAUSE_MS, pause } from "./conformance.ts";
import type { ProbeCase } from "./conformance.ts";

export interface Patience {
  readonly replyMsMax: number;
  /** Then the connection is cut, and not only the stream. */
  readonly isCut: boolean;
}

/** Until the response has ended, or nobody waits for it any more: then the stream is broken off. */
export async function sendHttp2(
  port: number,
  probe: ProbeCase,
  { replyMsMax, isCut }: Patience,
): Promise<void> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  for (const each of [probe, ...(probe.later ?? [])]) {
    await sendStream(session, { ...probe, ...each }, { replyMsMax, isCut });
  }
  session.destroy();
}

async function sendStream(
  session: ClientHttp2Session,
  probe: ProbeCase,
  { replyMsMax, isCut }: Patience,
): Promise<void> {
  const hasBody = probe.body !== undefined || probe.chunks !== undefined;
  const stream = session.request(fieldsOf(probe), { endStream: !hasBody });
  stream.on("error", () => undefined);
  stream.resume();
  // However it ends.
  const closed = new Promise<void>((resolve) => {
    stream.on("close", resolve);
  });
  const timer = systemClock.after(replyMsMax, () => {
    if (isCut) session.destroy();
    else stream.close(constants.NGHTTP2_CANCEL);
  });
  if (hasBody) await write(stream, probe);
  await closed;
  timer.cancel();
}

function fieldsOf(probe: ProbeCase): Record<string, string | string[]> {
  const { method = "GET", path = "/", headers = [], body } = probe;
  const fields: Record<string, string | string[]> = {
    ...{ ":method": method, ":path": path, ":scheme": "http", ":authority": "probe.test" },
    ...{ "x-case": probe.name, "x-probe": probe.script.join(";") },
    ...{ "x-request-id": "fixed", "user-agent": "probe" },
  };
  if (body !== undefined) fields["content-length"] = String(body.length);
  for (const [name] of headers) {
    const values = headers.filter((field) => field[0] === name).map(([, value]) => value);
    fields[name] = values.length === 1 ? values.join() : values;
  }
  return fields;
}

async function write(stream: ClientHttp2Stream, { chunks, body }: ProbeCase): Promise<void> {
  if (body !== undefined) {
    stream.end(body);
    return;
  }
  for (const chunk of chunks ?? []) {
    await pause(CHUNK_PAUSE_MS);
    if (stream.writable) stream.write(chunk);
  }
  await pause(CHUNK_PAUSE_MS);
  if (stream.writable) stream.end();
}
