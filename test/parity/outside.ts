//! A host outside the mesh, for the suite's apps to call: it says what it was sent, as they do.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  const { method, url: path, headers } = request;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ hop: "outside", method, path, headers, body: "", next: null }));
});
await new Promise<void>((begun) => {
  server.listen(0, "127.0.0.1", begun);
});
// It ends with the suite.
server.unref();

/** `host:port`. */
export const OUTSIDE: string = `127.0.0.1:${(server.address() as AddressInfo).port}`;
