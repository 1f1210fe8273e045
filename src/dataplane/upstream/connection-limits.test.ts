//! What a DestinationRule's `connectionPool` says of single connections to endpoints.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import { after, test } from "node:test";
import { VirtualClock } from "../../base/virtual-clock.ts";
import type { ConnectionLimits } from "../../snapshot/routing.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const DURATION_MS = 5_000;
const PROTOCOLS = ["HTTP/1.1", "HTTP/2"] as const;
type Protocol = (typeof PROTOCOLS)[number];

interface Upstream {
  readonly port: number;
  /** Each connection that was ever made. */
  readonly sockets: Socket[];
  /** Answers that wait. */
  readonly held: (() => void)[];
  holds: boolean;
}

async function startUpstream(protocol: Protocol): Promise<Upstream> {
  const sockets: Socket[] = [];
  const held: Upstream["held"] = [];
  const answer = (end: () => void): void => {
    if (upstream.holds) held.push(end);
    else end();
  };
  const server: Server =
    protocol === "HTTP/2"
      ? createHttp2Server((_request, response) => {
          answer(() => response.end("ok"));
        })
      : createHttp1Server({ keepAliveTimeout: 60_000 }, (_request, response) => {
          answer(() => response.end("ok"));
        });
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => undefined);
    sockets.push(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const upstream = { port: (server.address() as AddressInfo).port, sockets, held, holds: false };
  return upstream;
}

function startTo(
  { port }: Upstream,
  protocol: Protocol,
  connections: ConnectionLimits,
  clock?: VirtualClock,
): Promise<Fixture> {
  const isHttp2 = protocol === "HTTP/2";
  const a = {
    ...cluster("a"),
    policy: { connections },
    ...(isHttp2 && { protocol: "h2" as const }),
  };
  const snapshot = gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(port)] } },
  });
  return startFixture(snapshot, clock);
}

async function ask(client: RawClient): Promise<void> {
  client.send(GET);
  assert.match(await client.until(/ok/), /^HTTP\/1\.1 200 /);
}

for (const protocol of PROTOCOLS) {
  test(`a connection of ${protocol} that is too old takes no further request`, async () => {
    const upstream = await startUpstream(protocol);
    const clock = new VirtualClock();
    const { port } = await startTo(upstream, protocol, { connectionMsMax: DURATION_MS }, clock);
    const client = await RawClient.open(port);
    await ask(client);
    clock.advance(DURATION_MS - 1_000);
    const again = await RawClient.open(port);
    await ask(again);
    assert.equal(upstream.sockets.length, 1, "it is not too old yet");
    clock.advance(2_000);
    await eventually(() => upstream.sockets[0]?.destroyed === true);
    const late = await RawClient.open(port);
    await ask(late);
    assert.equal(upstream.sockets.length, 2);
  });

  test(`a connection of ${protocol} that has become too old ends its exchange`, async () => {
    const upstream = await startUpstream(protocol);
    const clock = new VirtualClock();
    const { port } = await startTo(upstream, protocol, { connectionMsMax: DURATION_MS }, clock);
    upstream.holds = true;
    const client = await RawClient.open(port);
    client.send(GET);
    await eventually(() => upstream.held.length === 1);
    clock.advance(DURATION_MS + 1_000);
    assert.equal(upstream.sockets[0]?.destroyed, false);
    upstream.held[0]?.();
    assert.match(await client.until(/ok/), /^HTTP\/1\.1 200 /);
    await eventually(() => upstream.sockets[0]?.destroyed === true);
  });
}

test("one connection of HTTP/2 carries as many streams at once as it may", async () => {
  const upstream = await startUpstream("HTTP/2");
  const { port } = await startTo(upstream, "HTTP/2", { streamsMax: 2 });
  upstream.holds = true;
  const clients: RawClient[] = [];
  for (const count of [1, 2, 3, 4, 5]) {
    const client = await RawClient.open(port);
    client.send(GET);
    clients.push(client);
    await eventually(() => upstream.held.length === count);
  }
  assert.equal(upstream.sockets.length, 3);
  for (const end of upstream.held) end();
  for (const client of clients) assert.match(await client.until(/ok/), /^HTTP\/1\.1 200 /);
});
