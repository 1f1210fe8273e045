//! Several requests at once on one connection of HTTP/2, from an address of the test's choice.

import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../../src/base/clock.ts";

const SESSION_MS_MAX = 10_000;

/** Of each request the status and how much of a body came back; or why the connection has failed. */
export async function manyStreams(
  where: { readonly port: number; readonly localAddress: string },
  bodies: readonly Buffer[],
): Promise<string[]> {
  const socket = connect({ host: "127.0.0.1", ...where });
  const session = connectHttp2("http://probe.test", { createConnection: () => socket });
  session.on("error", () => undefined);
  const timer = systemClock.after(SESSION_MS_MAX, () => {
    session.destroy();
  });
  const answers = await Promise.all(bodies.map((body) => answerOf(session, body)));
  timer.cancel();
  await new Promise<void>((resolve) => {
    session.close(resolve);
  });
  return answers;
}

async function answerOf(session: ClientHttp2Session, body: Buffer): Promise<string> {
  const stream = session.request({ ":method": "POST", ":path": "/" });
  let status = 0;
  stream.on("response", (headers) => (status = headers[":status"] ?? 0));
  stream.end(body);
  try {
    const got = await buffer(stream);
    return `${status} ${got.equals(body) ? "the same" : `${got.length} bytes`}`;
  } catch (error) {
    return (error as Error).message;
  }
}
