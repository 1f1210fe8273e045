//! A server that speaks gRPC, well and badly, by the name of the method that is called.

import { once } from "node:events";
import { constants, createServer } from "node:http2";
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

const FRAME_HEAD_BYTES = 5;
const HEAD = { ":status": 200, "content-type": "application/grpc", "x-begin": "1" };

/** Fields that each gateway adds on its own, or that differ from run to run. */
const OWN_FIELDS = /^(x-envoy-.*|x-request-id|x-forwarded-.*|date|:scheme)$/;

type Method = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** One message in its frame. */
export function grpcFrame(text: string, flags = 0): Buffer {
  const body = Buffer.from(text, "latin1");
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt8(flags);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Answers with these bytes, then with these trailers. */
function answer(bytes: Buffer, trailers: Record<string, string>): Method {
  return (stream) => {
    stream.respond(HEAD, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(trailers);
    });
    stream.end(bytes);
  };
}

/** Answers when the request has ended. */
function afterRequest(method: Method): Method {
  return (stream, headers) => {
    stream.resume();
    stream.on("end", () => {
      method(stream, headers);
    });
  };
}

const DONE = { "grpc-status": "0", "x-end": "1" };
const NOTHING = Buffer.alloc(0);

const METHODS: Readonly<Record<string, Method>> = {
  ok: afterRequest(answer(grpcFrame("hello"), DONE)),
  two: afterRequest(answer(Buffer.concat([grpcFrame("one"), grpcFrame("two")]), DONE)),
  empty: afterRequest(answer(grpcFrame(""), DONE)),
  silent: afterRequest(answer(NOTHING, DONE)),
  fail: afterRequest(
    answer(NOTHING, { "grpc-status": "9", "grpc-message": "not%20now", "x-end": "1" }),
  ),
  failAfterMessage: afterRequest(answer(grpcFrame("part"), { "grpc-status": "5" })),
  noStatus: afterRequest(answer(grpcFrame("hello"), { "x-end": "1" })),
  oddStatus: afterRequest(answer(grpcFrame("hello"), { "grpc-status": "77" })),
  wordStatus: afterRequest(answer(grpcFrame("hello"), { "grpc-status": "nine" })),
  compressed: afterRequest(answer(grpcFrame("hello", 1), DONE)),
  badFlags: afterRequest(answer(grpcFrame("hello", 2), DONE)),
  cut: afterRequest(answer(grpcFrame("hello").subarray(0, 7), DONE)),
  trailersOnly: afterRequest((stream) => {
    const fields = { "grpc-status": "7", "grpc-message": "no", "x-end": "1" };
    stream.respond({ ...HEAD, ...fields }, { endStream: true });
  }),
  unavailable: afterRequest((stream) => {
    stream.respond({ ":status": 503 }, { endStream: true });
  }),
  unavailableWithStatus: afterRequest((stream) => {
    stream.respond({ ":status": 503, "grpc-status": "8" }, { endStream: true });
  }),
  notFoundWithText: afterRequest((stream) => {
    stream.respond({ ":status": 404, "content-type": "text/plain" });
    stream.end("what?");
  }),
  endsWithoutTrailers: afterRequest((stream) => {
    stream.respond(HEAD);
    stream.end(grpcFrame("hello"));
  }),
  reset: afterRequest((stream) => {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }),
  resetAfterMessage: afterRequest((stream) => {
    stream.respond(HEAD);
    stream.write(grpcFrame("hello"), () => {
      setImmediate(() => {
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      });
    });
  }),
  never: (stream) => {
    stream.resume();
  },
  seen: afterRequest((stream, headers) => {
    const fields = Object.entries(headers)
      .filter(([name]) => !OWN_FIELDS.test(name))
      .map(([name, value]) => `${name}=${String(value)}`)
      .sort();
    answer(grpcFrame(fields.join(" ")), DONE)(stream, headers);
  }),
  /** Sends back all that comes, frames and all. */
  echo: (stream) => {
    stream.respond(HEAD, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(DONE);
    });
    stream.pipe(stream);
  },
};

/** `/any.Service/METHOD`, see `METHODS`; any other name is unimplemented. */
export async function startGrpcUpstream(): Promise<{ readonly port: number; stop(): void }> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    const name = (headers[":path"] ?? "").split("/").at(-1) ?? "";
    const method = METHODS[name] ?? answer(NOTHING, { "grpc-status": "12" });
    method(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}
