//! An app of somebody else's, for the tests of the agent: its servers answer `/CASE` by calling
//! another server in the way that CASE names, and tell which headers arrived there.
"use strict";

const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
const { EventEmitter, once } = require("node:events");

const WATCHED = ["baggage", "traceparent", "x-mse-tag", "x-request-id", "cookie", "x-own"];
const PROTO = { path: "/test.Echo/Say", requestStream: false, responseStream: false };
const bytes = (value) => Buffer.from(JSON.stringify(value));
const parse = (buffer) => JSON.parse(buffer.toString());
const METHOD = {
  ...PROTO,
  requestSerialize: bytes,
  requestDeserialize: parse,
  responseSerialize: bytes,
  responseDeserialize: parse,
};

/** Of a header map or of gRPC metadata, what the tests look at. */
function watched(get) {
  const found = WATCHED.map((name) => [name, get(name)]);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

/** `modules`: how the app has come by them, by `require` or by `import`. */
exports.main = async function main({ http, https, http2, undici, grpc }, tls) {
  const listen = async (server) => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server.address().port;
  };
  const tell = (request, response) => {
    request.resume();
    response.end(JSON.stringify(watched((name) => request.headers[name])));
  };
  const sinkPort = await listen(http.createServer(tell));
  const secureSinkPort = await listen(https.createServer(tls, tell));
  const h2SinkPort = await listen(http2.createServer(tell));
  const service = { Say: METHOD };
  const grpcPortOf = (say) => {
    const server = new grpc.Server();
    server.addService(service, { Say: say });
    return new Promise((resolve, reject) => {
      const insecure = grpc.ServerCredentials.createInsecure();
      server.bindAsync("127.0.0.1:0", insecure, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  };
  const grpcSinkPort = await grpcPortOf((call, reply) =>
    reply(
      null,
      watched((name) => call.metadata.get(name)[0]),
    ),
  );

  const sink = `http://127.0.0.1:${sinkPort}/`;
  const keptAlive = new http.Agent({ keepAlive: true, maxSockets: 2 });
  const Echo = grpc.makeGenericClientConstructor(service, "Echo");
  const echo = new Echo(`127.0.0.1:${grpcSinkPort}`, grpc.credentials.createInsecure());
  const pool = new undici.Pool(`http://127.0.0.1:${sinkPort}`, { connections: 2 });
  // Made within somebody's request, as apps do that connect when they first need it.
  let made = null;
  const session = {
    request: (headers) =>
      (made ??= http2.connect(`http://127.0.0.1:${h2SinkPort}`)).request(headers),
  };

  const read = async (response) => {
    let text = "";
    for await (const chunk of response) text += chunk;
    return JSON.parse(text);
  };
  const get = (options = {}, module = http, url = sink) =>
    new Promise((resolve, reject) => {
      const call = module.get(url, options, (response) => resolve(read(response)));
      call.on("error", reject);
    });
  const say = (...words) =>
    new Promise((resolve, reject) => {
      echo.Say(...words, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });

  // One worker for all requests: each job is bound to the context of who asked for it.
  const queue = [];
  setInterval(() => queue.shift()?.(), 1).unref();
  const own = new AsyncLocalStorage();
  const bus = new EventEmitter();
  bus.on("job", (done) => done(get()));

  const cases = {
    "http.get": () => get(),
    "http.get by a pool of two sockets": () => get({ agent: keptAlive }),
    "http.get with a list of headers": () => get({ headers: ["x-own", "1", "host", "a"] }),
    "http.request with own headers": () => get({ headers: { baggage: "own=1", "x-own": "1" } }),
    "https.get": () =>
      get({ rejectUnauthorized: false }, https, `https://127.0.0.1:${secureSinkPort}/`),
    fetch: async () => (await fetch(sink)).json(),
    "fetch with own headers": async () =>
      (await fetch(sink, { headers: { Baggage: "own=1" } })).json(),
    "undici.request": async () => (await undici.request(sink)).body.json(),
    "undici.Pool": async () => (await pool.request({ path: "/", method: "GET" })).body.json(),
    "http2 session": async () => {
      const stream = session.request({ ":path": "/" });
      stream.end();
      return read(stream);
    },
    "the answer of an http2 session": () =>
      new Promise((resolve) => {
        const stream = session.request({ ":path": "/" });
        stream
          .on("response", () => resolve(get()))
          .resume()
          .end();
      }),
    "gRPC unary": () => say({}),
    "gRPC with metadata and options": () => {
      const metadata = new grpc.Metadata();
      metadata.set("x-own", "1");
      return say({}, metadata, { deadline: Date.now() + 60_000 });
    },
    "gRPC with options only": () => say({}, { deadline: Date.now() + 60_000 }),
    setTimeout: () =>
      new Promise((resolve) => {
        setTimeout(() => resolve(get()), 2);
      }),
    setImmediate: () =>
      new Promise((resolve) => {
        setImmediate(() => resolve(get()));
      }),
    setInterval: () =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          clearInterval(timer);
          resolve(get());
        }, 1);
      }),
    "process.nextTick": () =>
      new Promise((resolve) => {
        process.nextTick(() => resolve(get()));
      }),
    queueMicrotask: () =>
      new Promise((resolve) => {
        queueMicrotask(() => resolve(get()));
      }),
    "an AsyncLocalStorage of the app's own": (request) =>
      own.run(request.url, async () => {
        await new Promise(setImmediate);
        const told = await get();
        return own.getStore() === request.url ? told : { error: "the app's store is lost" };
      }),
    promises: () => Promise.resolve().then(async () => await get()),
    "an EventEmitter": () => new Promise((resolve) => bus.emit("job", resolve)),
    "a queue of bound jobs": () =>
      new Promise((resolve) => {
        queue.push(AsyncResource.bind(() => resolve(get())));
      }),
    "the end of the request's body": (request) =>
      new Promise((resolve) => {
        request.on("data", () => undefined);
        request.on("end", () => resolve(get()));
      }),
    "the end of another call's answer": () =>
      new Promise((resolve) => {
        http.get(sink, { agent: keptAlive }, (response) => {
          response.resume().on("end", () => resolve(get({ agent: keptAlive })));
        });
      }),
  };

  const answer = (request, response) => {
    const name = decodeURIComponent(request.url.slice(1));
    const wanted = cases[name];
    if (wanted === undefined) response.end("{}");
    else {
      // A slow start, so that requests overlap.
      setTimeout(() => {
        wanted(request).then(
          (told) => response.end(JSON.stringify(told)),
          (error) => response.end(JSON.stringify({ error: String(error) })),
        );
      }, 1);
    }
  };
  const ports = {
    http: await listen(http.createServer(answer)),
    https: await listen(https.createServer(tls, answer)),
    http2: await listen(http2.createServer(answer)),
    grpc: await grpcPortOf((call, reply) => {
      get().then((told) => reply(null, told));
    }),
  };
  // Work that belongs to no request.
  const idle = await get();
  process.stdout.write(`${JSON.stringify({ ports, idle, cases: Object.keys(cases) })}\n`);
};

if (require.main === module) {
  const { readFileSync } = require("node:fs");
  const tls = { key: readFileSync(process.argv[2]), cert: readFileSync(process.argv[2]) };
  const modules = {
    http: require("http"),
    https: require("node:https"),
    http2: require("node:http2"),
    undici: require("undici"),
    grpc: require("@grpc/grpc-js"),
  };
  void exports.main(modules, tls);
}
