import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { eventually, observedContext, RawClient, startFixture } from "../testing/fixture.ts";
import { systemClock } from "../../base/clock.ts";
import { atEnd, endAll, preparer, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { GatewayRole } from "./gateway-role.ts";

after(endAll);

const A = cluster("a");
const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

function snapshotTo(port: number, version = "test"): Snapshot {
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  return { ...snapshot, version };
}

/** `""` when the port accepts; else the system's code. */
async function refusal(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  atEnd(() => socket.destroy());
  return new Promise((resolve) => {
    socket.on("connect", () => {
      resolve("");
    });
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
      resolve(code);
    });
  });
}

test("drained ports accept nothing more, and what runs there is finished", async () => {
  const asked: Socket[] = [];
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => asked.push(socket));
  });
  const { port, role } = await startFixture(snapshotTo(upstream.port));
  const idle = await RawClient.open(port);
  const running = await RawClient.open(port);
  running.send(GET);
  await eventually(() => asked.length === 1);
  role.drainListeners();
  role.drainListeners();
  assert.equal(await refusal(port), "ECONNREFUSED");
  await idle.closed();
  asked[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  const answer = await running.closed();
  assert.match(answer, /^HTTP\/1.1 200 [^]*connection: close\r\n[^]*ok$/i);
  await role.stop();
});

test("a request on its way to a connection that is about to end is answered", async () => {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
  });
  const { port, role } = await startFixture(snapshotTo(upstream.port));
  const client = await RawClient.open(port);
  client.send(GET);
  await client.until(/ok$/);
  role.drainListeners();
  client.send(GET);
  assert.match(await client.closed(), /okHTTP\/1\.1 200 [^]*connection: close\r\n[^]*ok$/i);
  await role.stop();
});

test("no later configuration opens a drained port again", async () => {
  const { port, role } = await startFixture(snapshotTo(1));
  role.drainListeners();
  assert.equal(await role.configure(snapshotTo(2, "later")), null);
  assert.equal(await refusal(port), "ECONNREFUSED");
});

test("ports that are being opened while they are drained are closed", async () => {
  const port = await freePort();
  const role = gateway(port, false);
  const configured = role.configure(snapshotTo(1));
  role.drainListeners();
  assert.equal(await configured, null);
  assert.equal(await refusal(port), "ECONNREFUSED");
});

test("a worker that starts after the draining opens no port", async () => {
  const port = await freePort();
  assert.equal(await gateway(port, true).configure(snapshotTo(1)), null);
  assert.equal(await refusal(port), "ECONNREFUSED");
});

function gateway(port: number, isDrained: boolean): GatewayRole {
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": port },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
    isDrained,
  } as const;
  const role = new GatewayRole(options, observedContext(systemClock).context, preparer());
  atEnd(() => role.stop());
  return role;
}
