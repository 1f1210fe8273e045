import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectPlain } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { freePort } from "../../base/testing/free-port.ts";
import { systemClock } from "../../base/clock.ts";
import type { Listener, Snapshot, Test, Workload } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf, ruleOf } from "../../snapshot/testing/lane-maker.ts";
import { A_TEST, CA, WORKLOAD } from "../testing/certificates.ts";
import { eventually, observedContext, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute } from "../testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { SidecarRole } from "../worker/sidecar-role.ts";

const TIMEOUT = { timeout: 60_000 };
const A = cluster("a");
const POD_ADDRESS = "127.0.0.9";
const BATCH: Workload = {
  name: "batch-1",
  namespace: "default",
  labels: { app: "batch" },
  address: POD_ADDRESS,
  inbound: [],
  outbound: { address: "127.0.0.1", port: 0 },
};
const TLS = {
  hosts: ["*"],
  ...A_TEST,
  clientCa: CA.certificate,
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
} as const;

after(endAll);

function asks(name: string, value: string): Test {
  return { kind: "test", operand: { kind: "workload", name }, operator: "==", values: [value] };
}

async function upstream(name: string): Promise<number> {
  const { port } = await startRawUpstream((socket) => {
    socket.on("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
    });
  });
  return port;
}

async function snapshotOf(condition: Test, listener: Partial<Listener>): Promise<Snapshot> {
  const base = await upstream("base");
  const gray = await upstream("gray");
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: {
      [A.name]: { endpoints: [endpoint(base), endpoint(gray, { lane: "gray" })] },
    },
    workloads: { "default/batch-1": BATCH },
    laneGroups: {
      "default/shop": laneGroupOf({
        services: ["default/a"],
        lanes: [laneOf("gray", { rule: ruleOf(condition) })],
      }),
    },
  });
  const gateways = Object.entries(snapshot.gateways).map(([name, gateway]) => {
    const listeners = gateway.listeners.map((each) => ({ ...each, ...listener }));
    return [name, { ...gateway, listeners }] as const;
  });
  return { ...snapshot, gateways: Object.fromEntries(gateways) };
}

async function start(condition: Test, listener: Partial<Listener> = {}): Promise<Fixture> {
  return await startFixture(await snapshotOf(condition, listener));
}

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.9\r\n\r\n";

async function askFrom(localAddress: string, port: number): Promise<string> {
  const socket = connectPlain({ host: "127.0.0.1", port, localAddress });
  atEnd(() => socket.destroy());
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
  socket.write(REQUEST);
  await eventually(() => /(base|gray)$/.test(got));
  return got.slice(-4);
}

test(
  "a pod is known by its connection's address, and by nothing that it sends",
  TIMEOUT,
  async () => {
    const { port } = await start(asks("labels.app", "batch"));
    assert.equal(await askFrom(POD_ADDRESS, port), "gray");
    assert.equal(await askFrom("127.0.0.1", port), "base");
  },
);

const OWN = { ca: CA.certificate, cert: WORKLOAD.certificate, key: WORKLOAD.privateKey };

test(
  "a workload is known by its verified certificate, in HTTP/1.1 and HTTP/2",
  TIMEOUT,
  async () => {
    const { port } = await start(asks("serviceAccount", "cart"), { tls: [TLS] });
    const socket = connectTls({ host: "127.0.0.1", port, servername: "a.test", ...OWN });
    atEnd(() => socket.destroy());
    let got = "";
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
    socket.write(REQUEST);
    await eventually(() => /(base|gray)$/.test(got));
    assert.match(got, /gray$/);
    const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: "a.test", ...OWN });
    atEnd(() => {
      session.destroy();
    });
    const stream = session.request({ ":path": "/", ":authority": "a.test" });
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    await eventually(() => body.length === 4);
    assert.equal(body, "gray");
  },
);

test("explain says what is not known of a caller", TIMEOUT, async () => {
  const { role } = await start(asks("labels.app", "batch"));
  const question = { method: "GET", authority: "a", target: "/", port: 80, headers: [] };
  const unknown = await role.explain(question);
  assert.match(
    unknown?.decision?.detail ?? "",
    /workload labels\.app == "batch" \(absent, since no certificate .* 127\.0\.0\.1 is no pod's/,
  );
  const known = await role.explain({ ...question, remoteAddress: POD_ADDRESS });
  assert.equal(known?.decision?.lane, "gray");
});

test("a sidecar calls a gateway of this machine from its pod's address", TIMEOUT, async () => {
  const snapshot = await snapshotOf(asks("pod", "batch-1"), {});
  const gateway = await startFixture(snapshot);
  const { context, assertions } = observedContext(systemClock);
  const role = new SidecarRole(context, preparer());
  const outbound = await freePort();
  const placed = { ...BATCH, outbound: { address: "127.0.0.1", port: outbound } };
  const sidecars: Snapshot = {
    ...snapshot,
    version: "2",
    gateways: {},
    routeTables: {},
    workloads: { "default/batch-1": placed },
  };
  assert.equal(await role.configure(sidecars), null);
  atEnd(async () => {
    await role.configure({ ...sidecars, version: "3", workloads: {} });
  });
  for (const host of ["127.0.0.1", "localhost"]) {
    const authority = `${host}:${gateway.port}`;
    const head = `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n`;
    assert.match(await sendRaw(outbound, `${head}Connection: close\r\n\r\n`), /gray$/);
  }
  assert.deepEqual(assertions, []);
});
