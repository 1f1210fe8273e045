import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { Agent } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import type { LaneGroup, Route } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { sendRaw, startGateway, startRawUpstream, endAll } from "../testing/harness.ts";
import type { Harness } from "../testing/harness.ts";

const A = cluster("a");

after(endAll);

function snapshotTo(port: number, routes: readonly Route[] = [forwardRoute(A.name)]) {
  return gatewaySnapshot(80, routes, {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe("a gateway in front of an echoing upstream", () => {
  const upstream = createServer((req, res) => {
    void bodyOf(req).then((body) => {
      res.setHeader("x-method", req.method ?? "");
      res.setHeader("x-target", req.url ?? "");
      res.setHeader("x-seen", Object.keys(req.headers).sort().join(","));
      res.end(body.length === 0 ? "empty" : body);
    });
  });
  let gateway: Harness;
  let port: number;

  before(async () => {
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    port = await freePort();
    gateway = await startGateway(port, snapshotTo((upstream.address() as AddressInfo).port));
  });
  after(() => {
    upstream.close();
    upstream.closeAllConnections();
    assert.deepEqual(gateway.assertions, []);
  });

  const cases = [
    {
      name: "a GET comes back with its body",
      send: "GET /x?y=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      want: [/^HTTP\/1\.1 200 OK\r\n/, /x-target: \/x\?y=1\r\n/, /empty$/],
    },
    {
      name: "hop-by-hop fields do not reach the upstream, the edge's fields do",
      send: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-drop\r\nX-Drop: 1\r\n\r\n",
      want: [/x-seen: [^\r]*host,x-forwarded-for,x-forwarded-proto,x-request-id\r\n/],
    },
    {
      name: "a body of known length is forwarded",
      send: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
      want: [/x-method: POST\r\n/, /hello$/],
    },
    {
      name: "a chunked body is forwarded",
      send: [
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "5\r\nhel",
        "lo\r\n6\r\n world\r\n0\r\n\r\n",
      ],
      want: [/hello world$/],
    },
    {
      name: "a HEAD has the length and no body",
      send: "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      want: [/x-method: HEAD\r\n[^]*\r\n\r\n$/],
    },
    {
      name: "pipelined requests are answered in order",
      send:
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" +
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" +
        "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      want: [/x-target: \/1\r\n[^]*x-target: \/2\r\n[^]*hi[^]*x-target: \/3\r\n/],
    },
    {
      name: "a client that waits for 100-continue gets it before it sends its body",
      send: [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" +
          "Connection: close\r\n\r\n",
        "ok",
      ],
      want: [/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/, /ok$/],
    },
    {
      name: "an HTTP/1.0 client is answered and its connection closed",
      send: "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
      want: [/^HTTP\/1\.1 200 OK\r\n/, /connection: close\r\n/, /empty$/],
    },
    {
      name: "a request without Host is refused with a code",
      send: "GET / HTTP/1.1\r\n\r\n",
      want: [/^HTTP\/1\.1 400 Bad Request\r\n/, /connection: close\r\n/],
    },
    {
      name: "two lengths are refused, and what follows is not read as a request",
      send:
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" +
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
      want: [/^HTTP\/1\.1 400 /, /^(?![^]*smuggled)/],
    },
    {
      name: "CONNECT is refused",
      send: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
      want: [/^HTTP\/1\.1 501 /, /method_not_supported/],
    },
  ];

  for (const { name, send, want } of cases) {
    test(name, async () => {
      const got = await sendRaw(port, send);
      for (const pattern of want) assert.match(got, pattern);
    });
  }

  test("a body of eight megabytes goes through both ways unchanged", async () => {
    const body = randomBytes(8 * 1024 * 1024);
    const call = request({ port, host: "127.0.0.1", method: "POST", agent: false });
    call.end(body);
    const [message] = (await once(call, "response")) as [IncomingMessage];
    const echoed = await bodyOf(message);
    assert.equal(digest(echoed), digest(body));
  });

  test("a keep-alive connection survives swaps and sees each new configuration", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const upstreamPort = (upstream.address() as AddressInfo).port;
    for (let version = 0; version < 5; version++) {
      const responseHeaders = { remove: [], set: [["x-version", `${version}`]], add: [] } as const;
      const route = forwardRoute(A.name, { responseHeaders });
      assert.equal(await gateway.role.configure(snapshotTo(upstreamPort, [route])), null);
      const call = request({ port, host: "127.0.0.1", agent });
      call.end();
      const [message] = (await once(call, "response")) as [IncomingMessage];
      await bodyOf(message);
      assert.equal(message.headers["x-version"], String(version));
      assert.equal(call.reusedSocket, version > 0);
    }
    agent.destroy();
  });
});

test("a client's Connection field cannot take away a field that the route sets", async () => {
  const seen: string[] = [];
  const upstream = await startRawUpstream((socket: Socket) => {
    socket.on("data", (chunk: Buffer) => {
      seen.push(chunk.toString("latin1"));
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  const port = await freePort();
  const requestHeaders = { remove: [], set: [["x-tag", "s2"]], add: [] } as const;
  const route = forwardRoute(A.name, { requestHeaders });
  await startGateway(port, snapshotTo(upstream.port, [route]));
  await sendRaw(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-tag\r\nX-Tag: s9\r\n\r\n");
  upstream.close();
  assert.match(seen.join(""), /\r\nx-tag: s2\r\n/);
});

const LANES = laneGroupOf({
  name: "g",
  services: ["default/a"],
  context: {
    mode: "baggage",
    routeHeader: "x-tag",
    baggageKey: "lane.g",
    stripFromClients: true,
  },
  lanes: [laneOf("gray")],
});
const TRACED: LaneGroup = {
  ...LANES,
  context: { mode: "traceId", routeHeader: "x-tag", traceHeader: "traceparent" },
};

/** What an upstream in no lane, or one in the lane `gray`, gets of a request with these fields. */
async function seenBehind(laneGroup: LaneGroup, fields: string): Promise<string> {
  const seen: string[] = [];
  const upstreams = await Promise.all(
    ["base", "gray"].map((name) =>
      startRawUpstream((socket: Socket) => {
        socket.on("data", (chunk: Buffer) => {
          seen.push(`${name}\r\n${chunk.toString("latin1")}`);
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      }),
    ),
  );
  const [base, gray] = upstreams.map(({ port }) => port);
  const endpoints = [endpoint(base ?? 0), endpoint(gray ?? 0, { lane: "gray" })];
  const port = await freePort();
  await startGateway(
    port,
    gatewaySnapshot(80, [forwardRoute(A.name)], {
      clusters: { [A.name]: A },
      endpoints: { [A.name]: { endpoints } },
      laneGroups: { g: laneGroup },
    }),
  );
  await sendRaw(port, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`);
  for (const upstream of upstreams) upstream.close();
  return seen.join("");
}

const forgeries = [
  { name: "the route header", fields: "X-Tag: gray\r\n" },
  { name: "a member of the baggage", fields: "Baggage: user=1, lane.g=gray\r\n" },
  { name: "a member in a second field", fields: "Baggage: user=1\r\nbaggage: lane.g = gray;p\r\n" },
];

for (const { name, fields } of forgeries) {
  test(`a client does not enter a lane by ${name}, and keeps its own baggage`, async () => {
    const seen = await seenBehind(LANES, fields);
    assert.match(seen, /^base\r\n/);
    assert.doesNotMatch(seen, /gray|x-tag/i);
    if (fields.includes("user")) assert.match(seen, /baggage: user=1\r\n/i);
  });
}

test("a client that is believed enters a lane by the baggage", async () => {
  const context = { ...LANES.context, stripFromClients: false } as LaneGroup["context"];
  const group = { ...LANES, context, stripFromClients: false };
  assert.match(await seenBehind(group, "Baggage: lane.g=gray\r\n"), /^gray\r\n/);
});

test("a request without a valid traceparent gets one where lanes travel by it", async () => {
  const valid = /\r\ntraceparent: 00-(?!0{32})[\da-f]{32}-[\da-f]{16}-00\r\n/i;
  assert.match(await seenBehind(TRACED, ""), valid);
  assert.match(await seenBehind(TRACED, "traceparent: nonsense\r\n"), valid);
  const own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const kept = await seenBehind(TRACED, `traceparent: ${own}\r\n`);
  assert.match(kept, new RegExp(`\r\ntraceparent: ${own}\r\n`));
  assert.doesNotMatch(await seenBehind(LANES, ""), /traceparent/);
});

test("a dead upstream is a 503 that names the service", async () => {
  const port = await freePort();
  await startGateway(port, snapshotTo(await freePort()));
  const got = await sendRaw(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  assert.match(got, /^HTTP\/1\.1 503 /);
  assert.match(got, /upstream_connect_failed: service default\/a at 127\.0\.0\.1:\d+/);
});

test("no matching route is a 404 that names the routes and what failed", async () => {
  const port = await freePort();
  const route = forwardRoute(A.name, {
    id: "default/shop/http[0]",
    label: "gray",
    matches: [{ headers: [{ name: "x-tag", match: { kind: "exact", value: "s2" } }] }],
  });
  await startGateway(port, snapshotTo(1, [route]));
  const got = await sendRaw(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  assert.match(got, /^HTTP\/1\.1 404 [^]*default\/shop\/http\[0\] \(gray\)[^]*x-tag/);
});

test("a GET whose reused connection is closed under it is sent again on a new one", async () => {
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const upstream = await startRawUpstream((socket: Socket, index) => {
    let requestCount = 0;
    socket.on("data", () => {
      requestCount += 1;
      if (index === 0 && requestCount === 2) socket.destroy();
      else socket.write(answer);
    });
  });
  const port = await freePort();
  const gateway = await startGateway(port, snapshotTo(upstream.port));
  const send = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const got = await sendRaw(port, send + send.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  upstream.close();
  assert.equal(got.match(/200 OK/g)?.length, 2);
  assert.equal(upstream.connectionCount, 2);
  assert.equal(gateway.records[1]?.attempts, 2);
});

test("a POST whose connection is closed under it is not sent twice", async () => {
  let requestCount = 0;
  const upstream = await startRawUpstream((socket: Socket) => {
    socket.on("data", () => {
      requestCount += 1;
      if (requestCount === 2) socket.destroy();
      else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  const port = await freePort();
  await startGateway(port, snapshotTo(upstream.port));
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n";
  const got = await sendRaw(port, `${post}\r\n${post}Connection: close\r\n\r\n`);
  upstream.close();
  assert.match(got, /200 OK[^]*502 Bad Gateway[^]*upstream_reset/);
  assert.equal(requestCount, 2);
});

test("an upstream that breaks HTTP is a 502 and its connection is not used again", async () => {
  const upstream = await startRawUpstream((socket: Socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"));
  });
  const port = await freePort();
  await startGateway(port, snapshotTo(upstream.port));
  const got = await sendRaw(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  upstream.close();
  assert.match(got, /^HTTP\/1\.1 502 [^]*upstream_protocol/);
});

test("a client that goes away takes its upstream request with it", async () => {
  const gone = withResolvers();
  const upstream = await startRawUpstream((socket: Socket) => {
    socket.on("close", () => {
      gone.resolve(undefined);
    });
    socket.on("data", () => client.destroy());
  });
  const port = await freePort();
  const gateway = await startGateway(port, snapshotTo(upstream.port));
  const client = connect(port, "127.0.0.1");
  client.on("error", () => undefined);
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await gone.promise;
  upstream.close();
  assert.equal(gateway.records[0]?.flags, "downstream_gone");
});

test("a busy port is refused in words that say how to map it", async () => {
  const taken = await startRawUpstream(() => undefined);
  await assert.rejects(startGateway(taken.port, snapshotTo(1)), /in use[^]*--map-port 80=PORT/);
  taken.close();
});

test("of several ports all are opened or none, and what ran goes on", async () => {
  const port = await freePort();
  const other = await freePort();
  const taken = await startRawUpstream(() => undefined);
  const direct = forwardRoute(A.name, { action: { kind: "direct", status: 200, body: "one" } });
  const first = gatewaySnapshot(80, [direct]);
  const gateway = await startGateway(port, first);
  const [name, only] = Object.entries(first.gateways)[0] ?? [];
  assert.ok(name !== undefined && only?.listeners[0] !== undefined);
  const listener = only.listeners[0];
  const listeners = [80, other, taken.port].map((at) => ({ ...listener, port: at }));
  const wider = { ...first, gateways: { [name]: { ...only, listeners } } };
  assert.match((await gateway.role.configure(wider)) ?? "", /in use/);
  await assert.rejects(once(connect(other, "127.0.0.1"), "connect"), /ECONNREFUSED/);
  const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  assert.match(await sendRaw(port, get), /one$/);

  taken.close();
  const narrow = { ...wider, gateways: { [name]: { ...only, listeners: listeners.slice(1, 2) } } };
  assert.equal(await gateway.role.configure(narrow), null);
  assert.match(await sendRaw(other, get), /one$/);
  await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), /ECONNREFUSED/);
});

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function withResolvers(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => undefined;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
