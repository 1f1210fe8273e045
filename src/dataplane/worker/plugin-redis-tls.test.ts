//! Redis in TLS: what is checked before a word is said, and what the log says when it is wrong.

import assert from "node:assert/strict";
import { createServer as createPlain } from "node:net";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { createServer } from "node:tls";
import type { PeerCertificate, TLSSocket, TlsOptions } from "node:tls";
import { FakeClock } from "../../base/fake-clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { RedisClient } from "../../wasm/redis-calls.ts";
import { A_TEST, A_TEST_EXPIRED, B_TEST, CA, CLIENT } from "../testing/certificates.ts";
import { eventually } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/snapshot-maker.ts";
import { listening, tls } from "../testing/tls-upstream.ts";
import { PluginRedis } from "./plugin-redis.ts";

after(endAll);

const PING = Buffer.from("*1\r\n$4\r\nPING\r\n");
const BACK_OFF_MS_MAX = 10_000;
const MUTUAL = { requestCert: true, rejectUnauthorized: true, ca: CA.certificate };

interface Played {
  readonly port: number;
  readonly sockets: Socket[];
  /** Of the certificates that were shown. */
  readonly owners: unknown[];
  received: string;
}

/** A Redis that answers whatever it is told. */
async function startRedis(pair: typeof A_TEST | null, options: TlsOptions = {}): Promise<Played> {
  const played = { port: 0, sockets: [] as Socket[], owners: [] as unknown[], received: "" };
  const serve = (socket: TLSSocket): void => {
    const shown: Partial<PeerCertificate> = socket.getPeerCertificate();
    played.owners.push(shown.subject?.O);
    played.sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      played.received += chunk.toString("latin1");
      socket.write("+OK\r\n");
    });
  };
  const server =
    pair === null
      ? createPlain((socket) => socket.on("error", () => undefined).end("-ERR no\r\n"))
      : createServer({ cert: pair.certificate, key: pair.privateKey, ...options }, serve);
  played.port = await listening(server);
  atEnd(() => {
    server.close();
    for (const socket of played.sockets) socket.destroy();
  });
  return played;
}

interface Asked {
  readonly client: RedisClient;
  readonly clock: FakeClock;
  readonly log: string[];
  readonly clusters: { generation: number; tls: UpstreamTls | null };
  readonly ask: () => Promise<string | null>;
}

function setUp(played: Played, settings: UpstreamTls): Asked {
  const clock = new FakeClock();
  const log: string[] = [];
  const note = (message: string, fields = {}): void => {
    log.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger = { debug: note, info: note, warn: note, error: note };
  const clusters: Asked["clusters"] = { generation: 1, tls: settings };
  const at = endpoint(played.port);
  const known = {
    get generation() {
      return clusters.generation;
    },
    knows: () => true,
    find: () => ({
      ...cluster("redis", 6379),
      ...(clusters.tls === null ? {} : { policy: { tls: clusters.tls } }),
    }),
    pick: () => at,
    endpointsOf: () => [at],
  };
  const redis = new PluginRedis({ clock, prng: new SeededPrng(1), logger }, known);
  const server = { cluster: "redis", username: "", password: "pass", database: 0, timeoutMs: 0 };
  const client = redis.open(server);
  assert.ok(client !== null, "the cluster is known");
  atEnd(() => {
    client.close();
  });
  const ask = (): Promise<string | null> =>
    new Promise((resolve) => {
      client.call(PING, (reply) => {
        resolve(reply === null ? null : Buffer.from(reply).toString());
      });
    });
  return { client, clock, log, clusters, ask };
}

test("a trusted server is told its name, and gets password and commands", async () => {
  const played = await startRedis(A_TEST);
  const { ask, log } = setUp(played, tls());
  assert.equal(await ask(), "+OK\r\n");
  assert.equal(await ask(), "+OK\r\n");
  assert.equal(played.sockets.length, 1);
  const [socket] = played.sockets as unknown as { servername: unknown; alpnProtocol: unknown }[];
  assert.deepEqual([socket?.servername, socket?.alpnProtocol], ["a.test", false]);
  assert.match(played.received, /^\*2[^]*AUTH[^]*pass[^]*PING[^]*PING/);
  assert.deepEqual(log, []);
});

test("a server that asks for a certificate is shown one", async () => {
  const played = await startRedis(A_TEST, MUTUAL);
  const { ask } = setUp(played, tls({ ...CLIENT }));
  assert.equal(await ask(), "+OK\r\n");
  assert.deepEqual(played.owners, ["client"]);
});

const REFUSED = [
  {
    name: "a certificate of an authority that is not trusted",
    server: { pair: A_TEST, options: {} },
    settings: { authorities: CLIENT.certificate },
    reason: "its certificate is of no authority that is trusted",
  },
  {
    name: "a certificate for another name",
    server: { pair: B_TEST, options: {} },
    settings: {},
    reason: "its certificate is for DNS:b.test, not for a.test",
  },
  {
    name: "a certificate that has expired",
    server: { pair: A_TEST_EXPIRED, options: {} },
    settings: {},
    reason: "its certificate has expired",
  },
  {
    name: "a server in clear",
    server: { pair: null, options: {} },
    settings: {},
    reason: "it does not speak TLS",
  },
  {
    name: "a server that asks for a certificate when there is none",
    server: { pair: A_TEST, options: { ...MUTUAL, maxVersion: "TLSv1.2" } as const },
    settings: {},
    reason: "the handshake failed",
  },
  {
    name: "settings that cannot be used",
    server: { pair: A_TEST, options: {} },
    settings: { fault: "no such secret" },
    reason: "cannot be reached in TLS: no such secret",
  },
];

for (const { name, server, settings, reason } of REFUSED) {
  test(`${name}: the call fails, the log says why, and no password is sent`, async () => {
    const played = await startRedis(server.pair, server.options);
    const { ask, log, clock } = setUp(played, tls(settings));
    const reply = ask();
    // Where nothing is tried, the answer comes by the clock.
    clock.advance(0);
    assert.equal(await reply, null);
    assert.match(log.join("\n"), new RegExp(`^Redis cannot be used by a plug-in .*${reason}`));
    assert.equal(log.length, 1);
    assert.equal(played.received, "");
  });
}

test("changed settings get a new connection", async () => {
  const played = await startRedis(A_TEST);
  const { ask, clusters, clock, log } = setUp(played, tls());
  await ask();
  clusters.generation += 1;
  await ask();
  assert.equal(played.sockets.length, 1);
  clusters.generation += 1;
  clusters.tls = tls({ authorities: CLIENT.certificate });
  assert.equal(await ask(), null);
  assert.match(log.at(-1) ?? "", /no authority that is trusted/);
  await eventually(() => played.sockets[0]?.destroyed === true);
  clusters.generation += 1;
  clusters.tls = tls();
  clock.advance(BACK_OFF_MS_MAX);
  assert.equal(await ask(), "+OK\r\n");
});
