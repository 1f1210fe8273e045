import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Socket } from "node:net";
import { freePort } from "../../base/testing/free-port.ts";
import { systemClock } from "../../base/clock.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { LaneGroup, Snapshot, Workload } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { eventually, observedContext, RawClient } from "../testing/fixture.ts";
import { preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import type { RawUpstream } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/snapshot-maker.ts";
import { SidecarRole } from "./sidecar-role.ts";

const B = cluster("b");
const GROUP = laneGroupOf({
  name: "g",
  gateways: [],
  services: ["default/b"],
  fallback: "strict",
  context: { mode: "traceId", routeHeader: "x-tag", traceHeader: "x-user" },
  lanes: ["gray", "blue", "empty"].map((name) => laneOf(name)),
});

const BAGGAGE_GROUP: LaneGroup = {
  ...GROUP,
  name: "z",
  context: {
    mode: "baggage",
    routeHeader: "x-bag",
    baggageKey: "lane.bag",
    stripFromClients: true,
  },
};

/** Answers with its name and the request's head. */
function echo(name: string): (socket: Socket) => void {
  return (socket) => {
    socket.on("data", (chunk: Buffer) => {
      const body = `${name}\n${chunk.toString("latin1")}`;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, "latin1");
    });
  };
}

describe("a pod's sidecar", () => {
  const { context, records, assertions } = observedContext(systemClock);
  const role = new SidecarRole(context, preparer());
  const upstreams: RawUpstream[] = [];
  const held: Socket[] = [];
  const received: string[] = [];
  const ports = { inbound: 0, outbound: 0, gray: 0 };
  let snapshot: Snapshot;

  before(async () => {
    for (const name of ["base", "gray"]) upstreams.push(await startRawUpstream(echo(name)));
    const hold = (socket: Socket): void => {
      socket.on("data", (chunk: Buffer) => received.push(chunk.toString("latin1")));
      held.push(socket);
    };
    upstreams.push(await startRawUpstream(hold));
    const [base = 0, gray = 0, app = 0] = upstreams.map(({ port }) => port);
    Object.assign(ports, { inbound: await freePort(), outbound: await freePort(), gray });
    const workload: Workload = {
      name: "pod",
      namespace: "default",
      labels: {},
      address: "127.0.0.1",
      inbound: [{ port: ports.inbound, appAddress: "127.0.0.1", appPort: app }],
      outbound: { address: "127.0.0.1", port: ports.outbound },
    };
    const endpoints = [
      endpoint(base),
      endpoint(gray, { lane: "gray" }),
      endpoint(base, { lane: "blue" }),
    ];
    snapshot = {
      ...EMPTY_SNAPSHOT,
      version: "1",
      clusters: { [B.name]: B },
      endpoints: { [B.name]: { endpoints } },
      laneGroups: { g: GROUP, z: BAGGAGE_GROUP },
      workloads: { "default/pod": workload },
    };
    assert.equal(await role.configure(snapshot), null);
    assert.equal(role.podFailure("default/pod"), null);
  });
  after(async () => {
    for (const upstream of upstreams) upstream.close();
    await role.configure({ ...snapshot, workloads: {} });
    assert.deepEqual(assertions, []);
  });

  const call = (authority: string, fields = ""): Promise<string> => {
    const head = `GET http://${authority}/x HTTP/1.1\r\nHost: ${authority}\r\n${fields}`;
    return sendRaw(ports.outbound, `${head}Connection: close\r\n\r\n`);
  };

  const calls = [
    { name: "a short name", authority: "b:8000", want: /200 OK[^]*\r\n\r\n(base)\n/ },
    { name: "a short name with its namespace", authority: "b.default:8000", want: /\nGET \/x / },
    { name: "a full name", authority: "b.default.svc.cluster.local:8000", want: /200 OK/ },
    { name: "a full name with its last dot", authority: `${B.host}.:8000`, want: /200 OK/ },
    { name: "a name in capitals", authority: "B.Default:8000", want: /200 OK/ },
    {
      name: "a call in a lane reaches the lane",
      authority: "b:8000",
      fields: "x-tag: gray\r\n",
      want: /\r\n\r\ngray\n[^]*x-tag: gray\r\n/,
    },
    {
      name: "a strict lane without a pod is a 503 that names lane and service",
      authority: "b:8000",
      fields: "x-tag: empty\r\n",
      want: /503 [^]*lane_has_no_endpoint[^]*empty[^]*default\/b|503 [^]*default\/b[^]*empty/,
    },
    {
      name: "an address that names nothing is refused",
      authority: "127.0.0.1:0",
      want: /404 [^]*no_route/,
    },
    {
      name: "an https target is refused",
      authority: "b:8001",
      scheme: "https",
      want: /501 [^]*TLS/,
    },
  ];
  for (const { name, authority, fields = "", scheme = "http", want } of calls) {
    test(name, async () => {
      const send = `GET ${scheme}://${authority}/x HTTP/1.1\r\nHost: ${authority}\r\n${fields}`;
      assert.match(await sendRaw(ports.outbound, `${send}Connection: close\r\n\r\n`), want);
    });
  }

  test("a call dialled to a pod's address counts as a call to its service", async () => {
    const got = await call(`127.0.0.1:${ports.gray}`);
    assert.match(got, /\r\n\r\nbase\n/);
  });

  test("in an isolated group the calling pod's labels decide, its request's do not", async () => {
    const isolate = (labels: Readonly<Record<string, string>>): Snapshot => ({
      ...snapshot,
      version: `isolated ${labels["lane"] ?? "none"}`,
      laneGroups: { g: { ...GROUP, isolated: true } },
      workloads: Object.fromEntries(
        Object.entries(snapshot.workloads).map(([name, pod]) => [name, { ...pod, labels }]),
      ),
    });
    try {
      assert.equal(await role.configure(isolate({ lane: "gray" })), null);
      assert.match(await call("b:8000"), /\r\n\r\ngray\n[^]*x-tag: gray\r\n/);
      assert.match(await call("b:8000", "x-tag: blue\r\n"), /\r\n\r\ngray\n/);
      assert.equal(await role.configure(isolate({})), null);
      assert.match(await call("b:8000", "x-tag: gray\r\n"), /\r\n\r\nbase\n(?![^]*x-tag)/);
    } finally {
      assert.equal(await role.configure(snapshot), null);
    }
  });

  test("a call to the outside carries no lane context", async () => {
    const outside = await startRawUpstream(echo("outside"));
    const got = await call(`127.0.0.1:${outside.port}`, "x-tag: gray\r\nx-user: u\r\n");
    outside.close();
    assert.match(got, /\r\n\r\noutside\n(?![^]*x-tag)[^]*x-user: u\r\n/);
  });

  test("an escaped line break in baggage begins no header field at the next hop", async () => {
    const got = await call("b:8000", "baggage: lane.bag=x%0D%0Ax-made: up\r\n");
    assert.match(got, /baggage: lane\.bag=x%0D%0Ax-made: up\r\n/);
    assert.doesNotMatch(got, /\r\nx-made|x-bag/);
  });

  test("baggage carries the lane: as it came, and written from the route header", async () => {
    const restored = await call("b:8000", "baggage: user=1, lane.bag=gray\r\n");
    assert.match(restored, /\r\n\r\ngray\n[^]*baggage: user=1, lane\.bag=gray\r\n/);
    assert.match(restored, /x-bag: gray\r\n/);
    const two = await call("b:8000", "baggage: user=1\r\nBaggage: lane.bag=gray\r\n");
    assert.match(two, /\r\n\r\ngray\n/);
    const written = await call("b:8000", "x-bag: gray\r\nbaggage: user=1\r\n");
    assert.match(written, /\r\n\r\ngray\n[^]*baggage: lane\.bag=gray,user=1\r\n/);
  });

  test("a call to a host that the group names carries its context, and no other's", async () => {
    const outside = await startRawUpstream(echo("outside"));
    const host = `127.0.0.1:${outside.port}`;
    const fields = "x-user: u\r\nx-tag: gray\r\nbaggage: a=b,lane.bag=gray\r\n";
    const hosts = [
      { outsideHosts: ["127.0.0.1"], want: /outside\n[^]*x-tag: gray\r\n/ },
      { outsideHosts: ["*.0.0.1"], want: /outside\n[^]*x-tag: gray\r\n/ },
      { outsideHosts: ["*"], want: /outside\n[^]*x-tag: gray\r\n/ },
      { outsideHosts: ["example.com", "*.27.0.0.1"], want: /outside\n(?![^]*x-tag)/ },
    ];
    try {
      for (const { outsideHosts, want } of hosts) {
        const laneGroups = { g: { ...GROUP, outsideHosts }, z: BAGGAGE_GROUP };
        const version = `outside ${outsideHosts.join()}`;
        assert.equal(await role.configure({ ...snapshot, version, laneGroups }), null);
        const got = await call(host, fields);
        assert.match(got, want);
        assert.match(got, /baggage: a=b\r\n/);
        assert.doesNotMatch(got, /x-bag/);
      }
    } finally {
      outside.close();
      assert.equal(await role.configure(snapshot), null);
    }
  });

  test("a call to a ServiceEntry outside the mesh goes there without a lane", async () => {
    const outside = await startRawUpstream(echo("outside"));
    const name = "outbound|80||api.example.com";
    const entry = {
      ...{ ...B, name, host: "api.example.com", aliases: ["10.9.9.9"], port: 80 },
      ...{ service: "api.example.com", isOutside: true as const },
    };
    const clusters = { ...snapshot.clusters, [name]: entry };
    const endpoints = { ...snapshot.endpoints, [name]: { endpoints: [endpoint(outside.port)] } };
    const laneGroups = { g: { ...GROUP, services: ["default/b", "api.example.com"] } };
    try {
      const changed = { ...snapshot, version: "entry", clusters, endpoints, laneGroups };
      assert.equal(await role.configure(changed), null);
      for (const authority of ["api.example.com", "API.example.com:80", "10.9.9.9"]) {
        const got = await call(authority, "x-tag: gray\r\nx-user: u\r\n");
        assert.match(got, /\r\n\r\noutside\n(?![^]*x-tag)[^]*x-user: u\r\n/);
      }
    } finally {
      outside.close();
      assert.equal(await role.configure(snapshot), null);
    }
  });

  test("a call to the outside keeps the baggage of others and loses the lane's", async () => {
    const outside = await startRawUpstream(echo("outside"));
    const fields = "x-bag: gray\r\nbaggage: a=b,lane.bag=gray\r\ntraceparent: 00-1-2-00\r\n";
    const got = await call(`127.0.0.1:${outside.port}`, `${fields}x-graylane-carry: cookie\r\n`);
    outside.close();
    const seen = /outside\n(?![^]*(?:gray|x-bag|carry))[^]*baggage: a=b\r\n[^]*traceparent: 00-1/;
    assert.match(got, seen);
  });

  test("a header that stands twice counts as its first value", async () => {
    for (const fields of ["x-tag: gray\r\nx-tag: blue\r\n", "x-tag: gray, blue\r\n"]) {
      assert.match(await call("b:8000", fields), /\r\n\r\ngray\n/);
    }
  });

  test("the app's agent is told what to carry, whatever the caller says", async () => {
    received.length = 0;
    const client = await RawClient.open(ports.inbound);
    client.send("GET / HTTP/1.1\r\nHost: pod\r\nX-Graylane-Carry: cookie\r\n\r\n");
    await eventually(() => received.join("").includes("\r\n\r\n"));
    assert.match(received.join(""), /x-graylane-carry: baggage,x-user\r\n/i);
    assert.doesNotMatch(received.join(""), /cookie/);
    client.socket.destroy();
  });

  test("a call to the sidecar's own port does not run in circles", async () => {
    assert.match(await call(`127.0.0.1:${ports.outbound}`), /404 [^]*own outbound port/);
  });

  test("a lane is restored by the trace id: of two the newest, until both have ended", async () => {
    const table = role.pods.get("default/pod")?.traceTable("g");
    assert.ok(table !== undefined);
    const open = async (tag: string): Promise<RawClient> => {
      const count = held.length;
      const client = await RawClient.open(ports.inbound);
      client.send(`GET / HTTP/1.1\r\nHost: pod\r\nx-user: u1\r\nx-tag: ${tag}\r\n\r\n`);
      await eventually(() => held.length > count);
      return client;
    };
    const first = await open("blue");
    const second = await open("gray");
    assert.equal(table.conflicts, 1);
    assert.equal(role.pods.get("default/pod")?.inFlightCount, 2);
    assert.match(await call("b:8000", "x-user: u1\r\n"), /\r\n\r\ngray\n[^]*x-tag: gray\r\n/);
    const before = records.length;
    first.socket.resetAndDestroy();
    second.socket.end();
    await eventually(() => records.length === before + 2);
    assert.equal(role.pods.get("default/pod")?.inFlightCount, 0);
    assert.equal(table.size, 1, "kept for its time to live");
    assert.equal(table.lookup("u1", systemClock.monotonicMs() + 61_000), undefined);
  });

  test("ports of a pod that come, go or have another app cut nobody off", async () => {
    const pod = snapshot.workloads["default/pod"];
    const [inbound] = pod?.inbound ?? [];
    assert.ok(pod !== undefined && inbound !== undefined);
    const place = async (changes: Partial<Workload>): Promise<void> => {
      const workloads = { "default/pod": { ...pod, ...changes } };
      assert.equal(await role.configure({ ...snapshot, workloads }), null);
      assert.equal(role.podFailure("default/pod"), null);
    };
    const ask = async (port: number): Promise<RawClient> => {
      const client = await RawClient.open(port);
      client.send("GET / HTTP/1.1\r\nHost: pod\r\n\r\n");
      return client;
    };
    const more = { ...inbound, port: await freePort() };
    const before = held.length;
    const staying = await ask(ports.inbound);
    await eventually(() => held.length === before + 1);
    await place({ inbound: [inbound, more] });
    const leaving = await ask(more.port);
    await eventually(() => held.length === before + 2);

    const base = upstreams[0]?.port ?? 0;
    const outbound = { ...pod.outbound, port: await freePort() };
    await place({ inbound: [{ ...inbound, appPort: base }], outbound });
    await assert.rejects(sendRaw(more.port, ""), { code: "ECONNREFUSED" });
    await assert.rejects(sendRaw(ports.outbound, ""), { code: "ECONNREFUSED" });
    for (const socket of held.slice(before)) {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    assert.match(await staying.until(/ok$/), /^HTTP\/1\.1 200 /);
    assert.match(await leaving.until(/ok$/), /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/i);
    staying.received = "";
    staying.send("GET / HTTP/1.1\r\nHost: pod\r\n\r\n");
    assert.match(await staying.until(/\r\n\r\n[^]+$/), /\r\n\r\nbase\n/, "of the new app");
    staying.socket.destroy();
    await place({});
  });

  test("a pod whose port is taken says so, and the others run", async () => {
    const taken = await startRawUpstream(() => undefined);
    const pod = snapshot.workloads["default/pod"];
    assert.ok(pod !== undefined);
    const other: Workload = {
      ...pod,
      name: "other",
      inbound: [],
      outbound: { address: "127.0.0.1", port: taken.port },
    };
    const workloads = { ...snapshot.workloads, "default/other": other };
    assert.equal(await role.configure({ ...snapshot, workloads }), null);
    assert.match(role.podFailure("default/other") ?? "", /cannot listen on [^]*EADDRINUSE/);
    assert.equal(role.podFailure("default/pod"), null);
    taken.close();
  });

  test("a pod whose sidecar is an Envoy is left to it", async () => {
    const pod = snapshot.workloads["default/pod"];
    assert.ok(pod !== undefined);
    const other: Workload = {
      ...{ ...pod, sidecar: "envoy", name: "other", inbound: [] },
      outbound: { address: "127.0.0.1", port: await freePort() },
    };
    const workloads = { ...snapshot.workloads, "default/other": other };
    assert.equal(await role.configure({ ...snapshot, workloads }), null);
    assert.equal(role.pods.has("default/other"), false);
    await assert.rejects(sendRaw(other.outbound.port, ""), { code: "ECONNREFUSED" });
  });
});
