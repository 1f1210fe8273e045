//! What a worker answers at its first listener while it still waits for another process's next
//! socket: in a hot restart clients come at once.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import { systemClock } from "../../base/clock.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Listener, Snapshot, Workload } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import { InheritedPorts } from "../listener/inherited-ports.ts";
import { observedContext } from "../testing/fixture.ts";
import { atEnd, endAll, preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { GatewayRole } from "./gateway-role.ts";
import type { WorkerRole } from "./role.ts";
import { SidecarRole } from "./sidecar-role.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const B = cluster("b");

after(endAll);

interface Opening {
  readonly context: TrafficContext;
  /** Resolves when the worker waits for the second socket. */
  readonly waits: Promise<void>;
  /** There is none any more: it opens its own. */
  readonly goOn: () => void;
}

function opening(second: string): Opening {
  let onAsked: () => void = () => undefined;
  const waits = new Promise<void>((resolve) => (onAsked = resolve));
  const inherited = new InheritedPorts([second], () => {
    onAsked();
  });
  const goOn = (): void => {
    inherited.onHandle(second, null);
  };
  const { context } = observedContext(systemClock);
  return { context: { ...context, inherited }, waits, goOn };
}

/** Runs `use` while the second listener of `role` is still to be opened. */
async function whileOpening(
  { waits, goOn }: Opening,
  role: WorkerRole,
  { snapshot, use }: { readonly snapshot: Snapshot; readonly use: () => Promise<void> },
): Promise<void> {
  atEnd(() => role.stop());
  const configured = role.configure(snapshot);
  await waits;
  try {
    await use();
  } finally {
    goOn();
    assert.equal(await configured, null);
  }
}

async function okUpstream(): Promise<number> {
  const { port } = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write(OK));
  });
  return port;
}

test("a pod's first listener serves while the pod's others are still to be opened", async () => {
  const [inbound, outbound] = [await freePort(), await freePort()];
  const workload: Workload = {
    ...{ name: "pod", namespace: "default", labels: {}, address: "127.0.0.1" },
    inbound: [{ port: inbound, appAddress: "127.0.0.1", appPort: await okUpstream() }],
    outbound: { address: "127.0.0.1", port: outbound },
  };
  const snapshot = { ...EMPTY_SNAPSHOT, version: "1", workloads: { "default/pod": workload } };
  const begun = opening(`127.0.0.1:${outbound}`);
  const role = new SidecarRole(begun.context, preparer());
  await whileOpening(begun, role, {
    snapshot,
    use: async () => {
      assert.match(await sendRaw(inbound, GET), /^HTTP\/1\.1 200 OK[^]*\r\n\r\nok$/);
      assert.notEqual(role.podFailure("default/pod"), null);
    },
  });
  assert.equal(role.podFailure("default/pod"), null);
});

test("a gateway's first port serves as it is set while others are still to be opened", async () => {
  const [first, second] = [await freePort(), await freePort()];
  const made = gatewaySnapshot(80, [forwardRoute(B.name)], {
    clusters: { [B.name]: B },
    endpoints: { [B.name]: { endpoints: [endpoint(await okUpstream())] } },
  });
  const [name = "", gateway] = Object.entries(made.gateways)[0] ?? [];
  assert.ok(gateway?.listeners[0] !== undefined);
  // A codec is asked for at each connection, as are network filters and PROXY headers.
  const plain: Listener = { ...gateway.listeners[0], codec: "http1" };
  const listeners = [plain, { ...plain, port: 81 }];
  const snapshot = { ...made, gateways: { [name]: { ...gateway, listeners } } };
  const begun = opening(`127.0.0.1:${second}`);
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": first, "81": second },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  await whileOpening(begun, new GatewayRole(options, begun.context, preparer()), {
    snapshot,
    use: async () => {
      assert.match(await sendRaw(first, GET), /^HTTP\/1\.1 200 OK[^]*\r\n\r\nok$/);
      const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
      assert.match(await sendRaw(first, preface), /^HTTP\/1\.1 (?:400|505) /);
    },
  });
});
