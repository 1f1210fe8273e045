//! The floor: a proxy in Node that hands bytes on and looks at none of them.
//!
//! Usage: `bytes-only.js PORT UPSTREAM_PORT`. Each client has an upstream connection of its own.

import { connect, createServer } from "node:net";
import type { Socket } from "node:net";

const [port = "0", upstreamPort = "0"] = process.argv.slice(2);

function join(from: Socket, to: Socket): void {
  from.on("data", (chunk: Buffer) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
  from.on("close", () => to.destroy());
  from.on("error", () => to.destroy());
}

createServer({ noDelay: true }, (client) => {
  const upstream = connect({ host: "127.0.0.1", port: Number(upstreamPort), noDelay: true });
  join(client, upstream);
  join(upstream, client);
}).listen(Number(port), "127.0.0.1");
