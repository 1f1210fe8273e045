//! What the sample services share: a small server, and a call to the next service of the chain.

import http from "node:http";
import { env } from "node:process";

const CALL_TIMEOUT_MS = 10_000;
const BODY_BYTES_MAX = 1024 * 1024;
/** Longer than the sidecar keeps an idle connection: the side that sends closes first. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

const agent = new http.Agent({ keepAlive: true });

/** Answers every request with what `answer` resolves to, as text. Ends on SIGTERM. */
export function serve(defaultPort, answer) {
  const server = http.createServer((request, response) => {
    request.resume();
    answer(request).then(
      ({ status, body }) => reply(response, status, body),
      (error) => reply(response, 500, String(error)),
    );
  });
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.listen(Number(env.PORT ?? defaultPort), env.HOST ?? "0.0.0.0");
  process.once("SIGTERM", () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

function reply(response, status, body) {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(body);
}

/** Calls `url` with those headers of `request`. Never rejects: a failed call has status 0. */
export async function callUpstream(url, request, forwardedHeaders) {
  const headers = {};
  for (const name of forwardedHeaders) {
    if (request.headers[name] !== undefined) headers[name] = request.headers[name];
  }
  try {
    return await get(url, headers);
  } catch (error) {
    // The other side may close a kept connection just as we use it: once more, on a new one.
    if (error.code !== "ECONNRESET" || !error.wasReused) return failure(error);
  }
  return get(url, headers).catch(failure);
}

function failure(error) {
  return { status: 0, body: error.code ?? error.message };
}

function get(url, headers) {
  return new Promise((resolve, reject) => {
    const call = http.get(url, { agent, headers, timeout: CALL_TIMEOUT_MS }, (response) => {
      readText(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    });
    call.on("timeout", () => call.destroy(new Error(`no answer in ${CALL_TIMEOUT_MS} ms`)));
    call.on("error", (error) => reject(Object.assign(error, { wasReused: call.reusedSocket })));
  });
}

async function readText(response) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`answer larger than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
