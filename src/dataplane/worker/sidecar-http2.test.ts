//! gRPC from pod to pod: real clients and servers on both sides of a sidecar, in lanes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import type { ClientUnaryCall, sendUnaryData, ServerUnaryCall, ServiceError } from "@grpc/grpc-js";
import { freePort } from "../../base/testing/free-port.ts";
import { systemClock } from "../../base/clock.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { LaneGroup, Workload } from "../../snapshot/snapshot.ts";
import { observedContext } from "../testing/fixture.ts";
import { preparer } from "../testing/harness.ts";
import { cluster, endpoint, SOURCE } from "../testing/snapshot-maker.ts";
import { SidecarRole } from "./sidecar-role.ts";

const B = { ...cluster("b"), protocol: "h2" as const };
const LANES = ["gray", "blue"].map((name) => ({
  ...{ name, tag: name, selector: { lane: name }, services: [] },
  ...{ enabled: true, rule: null },
}));
const GROUP: LaneGroup = {
  ...{ name: "g", source: SOURCE, gateways: [], services: ["default/b"] },
  ...{ baseline: { kind: "untagged", labelKeys: ["lane"] }, fallback: "permissive" },
  ...{ serviceFallback: {}, stripFromClients: true, lanes: LANES },
  context: { mode: "traceId", routeHeader: "x-tag", traceHeader: "x-user" },
};

const bytes = (value: Buffer): Buffer => value;
const SERVICE = {
  who: {
    ...{ path: "/test.Who/who", requestStream: false, responseStream: false },
    ...{ requestSerialize: bytes, requestDeserialize: bytes },
    ...{ responseSerialize: bytes, responseDeserialize: bytes },
  },
};
interface Who {
  who(
    message: Buffer,
    metadata: Metadata,
    done: (error: ServiceError | null, reply?: Buffer) => void,
  ): ClientUnaryCall;
  close(): void;
}

type Handler = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void;

describe("gRPC between pods", () => {
  const { context, records, assertions } = observedContext(systemClock);
  const role = new SidecarRole(context, preparer());
  const servers: Server[] = [];
  const clients: Who[] = [];
  let inbound: Who;

  async function serve(who: Handler): Promise<number> {
    const server = new Server();
    servers.push(server);
    server.addService(SERVICE, { who });
    return new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  }

  function client(port: number, authority: string): Who {
    const WhoClient = makeGenericClientConstructor(SERVICE, "test.Who");
    const options = { "grpc.default_authority": authority };
    const made = new WhoClient(`127.0.0.1:${port}`, credentials.createInsecure(), options);
    clients.push(made as unknown as Who);
    return made as unknown as Who;
  }

  before(async () => {
    const [outboundPort, inboundPort] = [await freePort(), await freePort()];
    const named =
      (name: string): Handler =>
      (call, done) => {
        const trailers = new Metadata();
        trailers.set("served-by", name);
        done(null, Buffer.from(`${name} ${call.metadata.get("x-tag").join()}`), trailers);
      };
    const base = await serve(named("base"));
    const gray = await serve(named("gray"));
    const outbound = client(outboundPort, "b:8000");
    // The app hands on the user, as its code does, and knows of no lane.
    const app = await serve((call, done) => {
      const metadata = new Metadata();
      for (const user of call.metadata.get("x-user")) metadata.add("x-user", user);
      outbound.who(call.request, metadata, (error, reply) => {
        done(error, reply ?? null);
      });
    });
    const workload: Workload = {
      ...{ name: "pod", namespace: "default", labels: {}, address: "127.0.0.1" },
      inbound: [{ port: inboundPort, appAddress: "127.0.0.1", appPort: app }],
      outbound: { address: "127.0.0.1", port: outboundPort },
    };
    const failure = await role.configure({
      ...EMPTY_SNAPSHOT,
      version: "1",
      clusters: { [B.name]: B },
      endpoints: { [B.name]: { endpoints: [endpoint(base), endpoint(gray, { lane: "gray" })] } },
      laneGroups: { g: GROUP },
      workloads: { "default/pod": workload },
    });
    assert.equal(failure, null);
    inbound = client(inboundPort, "a:8000");
  });

  after(async () => {
    for (const each of clients) each.close();
    for (const server of servers) server.forceShutdown();
    await role.configure({ ...EMPTY_SNAPSHOT, version: "2" });
    assert.deepEqual(assertions, []);
  });

  const cases = [
    { name: "without a lane the baseline answers", tag: null, want: /^base/ },
    { name: "in a lane its own copy answers", tag: "gray", want: /^gray gray$/ },
    { name: "in a lane without a copy the baseline answers", tag: "blue", want: /^base/ },
  ];
  for (const { name, tag, want } of cases) {
    test(name, async () => {
      const metadata = new Metadata();
      metadata.set("x-user", `user of ${tag ?? "none"}`);
      if (tag !== null) metadata.set("x-tag", tag);
      const reply = await new Promise<string>((resolve, reject) => {
        inbound.who(Buffer.from("who?"), metadata, (error, bytesOf) => {
          if (error === null) resolve(bytesOf?.toString() ?? "");
          else reject(error);
        });
      });
      assert.match(reply, want);
    });
  }

  test("both sides of each call are counted as HTTP/2", () => {
    const roles = records.map(({ role: side, protocol }) => `${side} ${protocol}`);
    assert.deepEqual([...new Set(roles)].sort(), ["inbound HTTP/2", "outbound HTTP/2"]);
    assert.equal(roles.length, 2 * cases.length);
  });
});
