//! The end of the chain: answers with its version and the baggage that has come.

import { createServer } from "node:http";
import { env } from "node:process";

const server = createServer((request, response) => {
  response.end(`stock(${env.VERSION}) baggage=${request.headers.baggage ?? ""}`);
});
server.listen(Number(env.PORT), env.HOST);
