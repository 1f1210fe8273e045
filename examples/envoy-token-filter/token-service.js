// The service behind the gateway: gives each caller's connection a token of its own at /auth, and
// says hello to everybody else.
//
//   node token-service.js [PORT]

import { createServer } from "node:http";

const port = Number(process.argv[2] ?? 8080);
let connections = 0;
const tokens = new WeakMap();

function tokenOf(socket) {
  if (!tokens.has(socket)) tokens.set(socket, `Bearer token-${++connections}`);
  return tokens.get(socket);
}

const server = createServer((request, response) => {
  if (request.url === "/auth") {
    const token = tokenOf(request.socket);
    console.log(`gave ${token}`);
    response.setHeader("authorization", token);
    response.end();
    return;
  }
  response.setHeader("content-type", "text/plain");
  response.end("hello from the service\n");
});
// A caller that comes every 15 s keeps its connection, and so its token.
server.keepAliveTimeout = 60_000;
server.listen(port, "127.0.0.1", () => {
  console.log(`listens on 127.0.0.1:${server.address().port}`);
});
