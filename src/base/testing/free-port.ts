//! Ports for the servers of tests and benchmarks that must be told theirs beforehand.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the ports that systems give to connections and to servers that ask for port 0 (Linux from
 * 32768, others from 49152), and below those of pods (20000 to 31999): no other test of this moment
 * gets one of these by chance. The Go SDK's own tests fix 18000 and some above.
 */
const PORT_MIN = 10_000;
const PORT_END = 18_000;

const given = new Set<number>();

/** A port of 127.0.0.1 on which nobody listens, another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_END);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
