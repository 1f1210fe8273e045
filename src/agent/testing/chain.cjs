//! A service of somebody else's, for the tests of the agent: one pod. It answers `/CLIENT` with its
//! name and what the next service answers, which it calls by that client. Nothing here knows lanes.
"use strict";

const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const http = require("node:http");
const http2 = require("node:http2");
const https = require("node:https");
const undici = require("undici");
const grpc = require("@grpc/grpc-js");

const [, , pemFile, name, next = ""] = process.argv;
const pem = readFileSync(pemFile);
const tls = { key: pem, cert: pem };

const bytes = (value) => Buffer.from(JSON.stringify(value));
const parse = (buffer) => JSON.parse(buffer.toString());
const METHOD = {
  ...{ path: "/test.Chain/Say", requestStream: false, responseStream: false },
  ...{ requestSerialize: bytes, requestDeserialize: parse },
  ...{ responseSerialize: bytes, responseDeserialize: parse },
};
const Chain = grpc.makeGenericClientConstructor({ Say: METHOD }, "Chain");

async function read(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return JSON.parse(text);
}

const byNode = (module, url, options = {}) =>
  new Promise((resolve, reject) => {
    const call = module.request(url, options, (response) => resolve(read(response)));
    call.on("error", reject).end(options.method === "POST" ? "x".repeat(70_000) : undefined);
  });
const post = { method: "POST", body: "x".repeat(70_000) };
const keptAlive = new http.Agent({ keepAlive: true, maxSockets: 1 });

// Made when they are first needed, as apps do: within somebody's request.
let pool = null;
let session = null;
let secureSession = null;
let client = null;

async function byStream(made, path) {
  const stream = made.request({ ":path": path });
  stream.end();
  return read(stream);
}

const CLIENTS = {
  http: (path) => byNode(http, `http://${next}:8000${path}`),
  "http POST": (path) => byNode(http, `http://${next}.default:8000${path}`, { method: "POST" }),
  "http by a pool of one": (path) =>
    byNode(http, `http://${next}.default.svc:8000${path}`, { agent: keptAlive }),
  https: (path) =>
    byNode(https, `https://${next}:8443${path}`, { rejectUnauthorized: false, agent: false }),
  fetch: async (path) =>
    (await fetch(`http://${next}.default.svc.cluster.local:8000${path}`)).json(),
  "fetch POST": async (path) => (await fetch(`http://${next}:8000${path}`, post)).json(),
  undici: async (path) => (await undici.request(`http://${next}:8000${path}`)).body.json(),
  "undici POST": async (path) =>
    (await undici.request(`http://${next}:8000${path}`, post)).body.json(),
  "undici.Pool": async (path) => {
    pool ??= new undici.Pool(`http://${next}:8000`, { connections: 2 });
    return (await pool.request({ path, method: "GET" })).body.json();
  },
  http2: (path) => {
    if (session === null || session.closed) session = http2.connect(`http://${next}:8001`);
    return byStream(session, path);
  },
  "http2 over TLS": (path) => {
    if (secureSession === null || secureSession.closed) {
      secureSession = http2.connect(`https://${next}:8444`, { rejectUnauthorized: false });
    }
    return byStream(secureSession, path);
  },
  gRPC: (path) => {
    client ??= new Chain(`${next}:9000`, grpc.credentials.createInsecure());
    return new Promise((resolve, reject) => {
      client.Say({ path }, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
  },
};

async function answer(path) {
  if (path === "/status") return globalThis[Symbol.for("graylane.agent.endpoints")]();
  if (next === "") return [name];
  try {
    const [by, host] = decodeURIComponent(path.slice(1)).split("@");
    if (host !== undefined) return [name, ...(await byNode(http, `http://${host}/`))];
    return [name, ...(await CLIENTS[by](path))];
  } catch (error) {
    const { code, statusCode, message } = error.cause ?? error;
    return [name, { code, statusCode, message }];
  }
}

async function main() {
  const tell = (request, response) => {
    request.resume().on("end", () => {
      answer(request.url).then((told) => response.end(JSON.stringify(told)));
    });
  };
  const listen = async (server) => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server.address().port;
  };
  const server = new grpc.Server();
  server.addService(
    { Say: METHOD },
    {
      Say: (call, reply) => {
        answer(call.request.path).then((told) => reply(null, told));
      },
    },
  );
  const grpcPort = await new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  const ports = {
    8000: await listen(http.createServer(tell)),
    8443: await listen(https.createServer(tls, tell)),
    8001: await listen(http2.createServer(tell)),
    8444: await listen(http2.createSecureServer(tls, tell)),
    9000: grpcPort,
  };
  const clients = Object.keys(CLIENTS);
  process.stdout.write(`${JSON.stringify({ ports, clients })}\n`);
}

void main();
