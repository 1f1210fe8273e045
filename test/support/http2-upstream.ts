//! An endpoint of HTTP/2, in clear, that answers and fails as the path says.

import { once } from "node:events";
import { constants, createServer } from "node:http2";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

export async function startHttp2Upstream(): Promise<{ readonly port: number; stop(): void }> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    stream.resume();
    stream.on("end", () => {
      answer(headers[":path"] ?? "", stream);
    });
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

function answer(path: string, stream: ServerHttp2Stream): void {
  const action = ACTIONS[path.replace("/echo/", "")];
  if (action !== undefined) {
    action(stream);
    return;
  }
  stream.respond({ ":status": 200, "content-length": "5" });
  endAfter(stream, "hello");
}

/** END_STREAM in a frame of its own: whoever is told of it apart is told the same everywhere. */
function endAfter(stream: ServerHttp2Stream, body: string): void {
  stream.write(body, () => stream.end());
}

const ACTIONS: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  gone: (stream) => {
    stream.session?.destroy();
  },
  reset: (stream) => {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  },
  "/refused": (stream) => {
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  },
  half: (stream) => {
    stream.respond({ ":status": 200, "content-length": "9" });
    stream.write("half", () => {
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  },
  "/silent": () => undefined,
  never: () => undefined,
  trailers: (stream) => {
    const fields = { ":status": 200, "content-type": "application/grpc" };
    stream.respond(fields, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers({ "grpc-status": "5", "x-end": "yes" });
    });
    endAfter(stream, "body");
  },
  "404": (stream) => {
    stream.respond({ ":status": 404, "content-length": "4" });
    endAfter(stream, "gone");
  },
  grpc: (stream) => {
    stream.respond({ ":status": 200, "grpc-status": "7" }, { endStream: true });
  },
};
