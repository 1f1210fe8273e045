//! Answers with its name and what the next service says. It forwards no header.

import { createServer } from "node:http";
import { env } from "node:process";

const server = createServer(async (request, response) => {
  try {
    response.end(`front -> ${await (await fetch(env.NEXT)).text()}`);
  } catch (error) {
    response.writeHead(502).end(`front: ${error}`);
  }
});
server.listen(Number(env.PORT), env.HOST);
