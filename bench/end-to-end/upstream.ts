//! The upstream of the benchmark: answers every request on a connection with one fixed response.
//!
//! It does the least that is right for the clients it has (the contenders): it looks for the end of
//! a request's head and knows no bodies. It shares the load core, so what it costs is not measured.
//! Usage: `upstream.js NAME=PORT ...`; the body of each response is the NAME, but for one path.

import { createServer } from "node:net";
import { LARGE_BODY, LARGE_PATH } from "./large-body.ts";

const CRLFCRLF = Buffer.from("\r\n\r\n");

const LARGE_START = Buffer.from(` ${LARGE_PATH} `);

function responseOf(body: Buffer): Buffer {
  const length = `content-length: ${body.length}`;
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n${length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function serve(name: string, port: number): void {
  const response = responseOf(Buffer.from(name));
  const large = responseOf(LARGE_BODY);
  const server = createServer({ noDelay: true }, (socket) => {
    let rest: Buffer | null = null;
    socket.on("data", (chunk: Buffer) => {
      const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (;;) {
        const end = bytes.indexOf(CRLFCRLF, from);
        if (end < 0) break;
        const isLarge = bytes.subarray(from, end).includes(LARGE_START);
        from = end + CRLFCRLF.length;
        socket.write(isLarge ? large : response);
      }
      rest = from === bytes.length ? null : bytes.subarray(from);
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen(port, "127.0.0.1");
}

for (const argument of process.argv.slice(2)) {
  const [name = "", port = ""] = argument.split("=");
  serve(name, Number(port));
}
