import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Socket } from "node:net";
import { freePort } from "../../base/testing/free-port.ts";
import { systemClock } from "../../base/clock.ts";
import { TagSigner } from "../../lane/signed-tag.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import type { LaneGroup, LaneSignature, Route, Subset } from "../../snapshot/snapshot.ts";
import type { Snapshot, Workload } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { eventually, observedContext, RawClient, startFixture } from "../testing/fixture.ts";
import { endAll, preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { SidecarRole } from "./sidecar-role.ts";

const B = cluster("b");
const HOUR_MS = 3_600_000;
const KEY = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const SIGNATURE: LaneSignature = {
  keys: [
    { id: "new", signingSecret: KEY(1) },
    { id: "old", signingSecret: KEY(2) },
  ],
  epoch: 3,
  lifetimeMs: 60_000,
};
const GROUP = laneGroupOf({
  name: "g",
  services: ["default/b"],
  context: { mode: "header", routeHeader: "x-tag" },
  stripFromClients: false,
  signature: SIGNATURE,
  lanes: ["gray", "blue"].map((name) =>
    laneOf(name, {
      rule: {
        programVersion: 2,
        condition: {
          kind: "test",
          operand: { kind: "header", name: "canary" },
          operator: "==",
          values: [name],
        },
      },
    }),
  ),
});
const BAGGAGE: LaneGroup = {
  ...GROUP,
  context: {
    mode: "baggage",
    routeHeader: "x-tag",
    baggageKey: "lane.bag",
    stripFromClients: false,
  },
};

/** A tag as somebody with these keys would sign it. */
function signed(changes: Partial<LaneSignature> = {}, ageMs = 0): string {
  const signer = new TagSigner("g", { ...SIGNATURE, ...changes });
  return signer.sign("gray", systemClock.nowMs() - ageMs) ?? "";
}

const REFUSED = [
  { name: "a plain tag", tag: "gray", reason: "unsigned" },
  { name: "a tag and other people's MAC", tag: `${signed().slice(0, -2)}AA`, reason: "forged" },
  { name: "one that has expired", tag: signed({}, HOUR_MS), reason: "expired" },
  { name: "one of the epoch before", tag: signed({ epoch: 2 }), reason: "old-epoch" },
  {
    name: "one of a key that was removed",
    tag: signed({ keys: [{ id: "gone", signingSecret: KEY(3) }] }),
    reason: "unknown-key",
  },
] as const;
const OLD_KEY = signed({ keys: [{ id: "old", signingSecret: KEY(2) }] });

function echo(name: string): (socket: Socket) => void {
  return (socket) => {
    socket.on("data", (chunk: Buffer) => {
      const body = `${name}\n${chunk.toString("latin1")}`;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, "latin1");
    });
  };
}

async function endpoints(): Promise<Pick<Snapshot, "clusters" | "endpoints">> {
  const [base, gray] = [await startRawUpstream(echo("base")), await startRawUpstream(echo("gray"))];
  const all = [endpoint(base.port), endpoint(gray.port, { lane: "gray" })];
  return { clusters: { [B.name]: B }, endpoints: { [B.name]: { endpoints: all } } };
}

function observed() {
  const parts = observedContext(systemClock);
  const refused: string[] = [];
  parts.context.observer.onContextRefused = (role, group, reason) => {
    refused.push(`${role} ${group} ${reason}`);
  };
  return { ...parts, refused };
}

after(endAll);

describe("at a gateway of a group that signs", () => {
  const toLane: Subset = { kind: "lane", group: "g", lane: "gray" };
  const byHeader = forwardRoute(B.name, {
    id: "gray",
    matches: [{ headers: [{ name: "x-tag", match: { kind: "exact", value: "gray" } }] }],
    action: {
      kind: "forward",
      destinations: [
        {
          weight: 1,
          target: { kind: "cluster", cluster: B.name, subset: toLane },
          fallback: null,
          requestHeaders: NO_HEADER_OPERATIONS,
          responseHeaders: NO_HEADER_OPERATIONS,
        },
      ],
    },
  });
  const plainRoute = forwardRoute(B.name);
  const setter: Route = {
    ...plainRoute,
    requestHeaders: { ...NO_HEADER_OPERATIONS, set: [["x-tag", "gray"]] },
  };

  const start = async (group: LaneGroup, routes: readonly Route[] = [plainRoute]) => {
    const changes = { laneGroups: { g: group }, ...(await endpoints()) };
    const fixture = await startFixture(gatewaySnapshot(80, routes, changes));
    const refused: string[] = [];
    fixture.context.observer.onContextRefused = (role, name, reason) => {
      refused.push(`${role} ${name} ${reason}`);
    };
    const ask = (fields: string): Promise<string> =>
      sendRaw(fixture.port, `GET / HTTP/1.1\r\nHost: b\r\n${fields}Connection: close\r\n\r\n`);
    return { ask, refused, role: fixture.role };
  };
  const TOKEN = /x-tag: gray~new~3~\d+~[-_\w]{43}\r\n/;

  test("a lane's request goes on with a signed tag, and a baseline's with none", async () => {
    const { ask } = await start(GROUP);
    const gray = await ask("canary: gray\r\n");
    assert.match(gray, /\r\n\r\ngray\n/);
    assert.match(gray, TOKEN);
    assert.match(gray, /x-graylane-lane: gray; reason=rule; served=gray/);
    assert.match(await ask(""), /\r\n\r\nbase\n(?![^]*x-tag)/);
  });

  test("in mode baggage header and member are signed, beside the members of others", async () => {
    const { ask } = await start(BAGGAGE);
    const gray = await ask("canary: gray\r\nbaggage: a=b;p\r\n");
    assert.match(gray, TOKEN);
    assert.match(gray, /baggage: lane\.bag=gray~new~3~\d+~[-_\w]{43},a=b;p\r\n/);
  });

  for (const { name, tag, reason } of REFUSED) {
    test(`a client is not believed: ${name}`, async () => {
      const { ask, refused, role } = await start(BAGGAGE, [byHeader, plainRoute]);
      for (const fields of [`x-tag: ${tag}\r\n`, `baggage: a=b,lane.bag=${tag}\r\n`]) {
        assert.match(await ask(fields), /\r\n\r\nbase\n(?![^]*(x-tag|lane\.bag))/);
      }
      assert.deepEqual(refused, [`gateway g ${reason}`, `gateway g ${reason}`]);
      const headers = [["x-tag", tag]] as const;
      const question = { method: "GET", authority: "b", target: "/", headers, port: 80 };
      const { decision } = (await role.explain(question)) ?? {};
      assert.equal(decision?.lane, null);
      assert.match(decision.detail, new RegExp(`^the request's lane.* believed \\(${reason}\\); `));
    });
  }

  test("a client with a signed tag is in the lane, by any of the keys", async () => {
    const { ask, refused } = await start(BAGGAGE);
    for (const tag of [signed(), OLD_KEY]) {
      for (const fields of [`x-tag: ${tag}\r\n`, `baggage: lane.bag=${tag}\r\n`]) {
        const got = await ask(fields);
        assert.match(got, /\r\n\r\ngray\n/);
        assert.match(got, TOKEN, "signed anew");
        assert.match(got, /reason=forced/);
      }
    }
    assert.deepEqual(refused, []);
  });

  test("a client's signed tag goes too where clients may not send one", async () => {
    const { ask } = await start({ ...GROUP, stripFromClients: true });
    assert.match(await ask(`x-tag: ${signed()}\r\n`), /\r\n\r\nbase\n(?![^]*x-tag)/);
  });

  test("of several fields the first counts, and the others go", async () => {
    const { ask } = await start(GROUP, [byHeader, plainRoute]);
    assert.match(await ask(`x-tag: gray\r\nx-tag: ${signed()}\r\n`), /\nbase\n(?![^]*x-tag)/);
    assert.match(await ask(`x-tag: ${signed()}\r\nx-tag: blue\r\n`), /\ngray\n(?![^]*blue)/);
    assert.match(await ask("x-tag:\r\nx-tag: gray\r\n"), /\nbase\n(?![^]*x-tag)/);
  });

  test("a VirtualService that matches on the header sees the plain tag", async () => {
    const { ask } = await start(GROUP, [byHeader, plainRoute]);
    for (const fields of ["canary: gray\r\n", `x-tag: ${signed()}\r\n`]) {
      const got = await ask(fields);
      assert.match(got, /\r\n\r\ngray\n/);
      assert.match(got, TOKEN);
      assert.match(got, /reason=route/);
    }
  });

  test("without a signature a VirtualService takes the header from a client", async () => {
    const { signature, ...plain } = GROUP;
    assert.ok(signature !== undefined);
    const { ask } = await start(plain, [byHeader, plainRoute]);
    assert.match(await ask("x-tag: gray\r\n"), /\r\n\r\ngray\n[^]*x-tag: gray\r\n/);
  });

  test("a tag that a route sets is signed", async () => {
    const { ask } = await start(GROUP, [setter]);
    assert.match(await ask("x-tag: blue\r\n"), TOKEN);
  });

  test("without a key nothing goes on and nothing is believed", async () => {
    const { ask } = await start({ ...GROUP, signature: { ...SIGNATURE, keys: [] } });
    assert.match(await ask("canary: gray\r\n"), /\r\n\r\ngray\n(?![^]*x-tag)/);
    assert.match(await ask(`x-tag: ${signed()}\r\n`), /\r\n\r\nbase\n(?![^]*x-tag)/);
  });

  test("the context of a group that is entered elsewhere is taken away too", async () => {
    const elsewhere = { ...BAGGAGE, gateways: ["istio=other"], stripFromClients: true };
    const { signature, context, ...plain } = elsewhere;
    assert.ok(signature !== undefined && context.mode === "baggage");
    const group = { ...plain, context: { ...context, stripFromClients: true } };
    const { ask } = await start(group);
    const got = await ask("x-tag: gray\r\nbaggage: a=b,lane.bag=gray\r\n");
    assert.match(got, /\r\n\r\nbase\n(?![^]*gray)[^]*baggage: a=b\r\n/);
    const matching = await start(group, [byHeader, plainRoute]);
    assert.match(await matching.ask("x-tag: gray\r\n"), /\r\n\r\ngray\n/);
  });
});

describe("at a sidecar of a group that signs", () => {
  const { context, assertions, refused } = observed();
  const role = new SidecarRole(context, preparer());
  const ports = { inbound: 0, outbound: 0 };
  const received: string[] = [];
  let snapshot: Snapshot;

  before(async () => {
    const app = await startRawUpstream((socket) => {
      socket.on("data", (chunk: Buffer) => received.push(chunk.toString("latin1")));
    });
    Object.assign(ports, { inbound: await freePort(), outbound: await freePort() });
    const workload: Workload = {
      name: "pod",
      namespace: "default",
      labels: { lane: "gray" },
      address: "127.0.0.1",
      inbound: [{ port: ports.inbound, appAddress: "127.0.0.1", appPort: app.port }],
      outbound: { address: "127.0.0.1", port: ports.outbound },
    };
    const workloads = { "default/pod": workload };
    snapshot = { ...EMPTY_SNAPSHOT, version: "1", workloads, ...(await endpoints()) };
  });
  after(async () => {
    await role.configure({ ...snapshot, workloads: {} });
    assert.deepEqual(assertions, []);
  });

  const use = async (group: LaneGroup): Promise<void> => {
    refused.length = 0;
    received.length = 0;
    assert.equal(await role.configure({ ...snapshot, laneGroups: { g: group } }), null);
  };
  const call = (fields: string): Promise<string> =>
    sendRaw(ports.outbound, `GET / HTTP/1.1\r\nHost: b:8000\r\n${fields}Connection: close\r\n\r\n`);
  const arrive = async (fields: string): Promise<{ seen: string; client: RawClient }> => {
    const count = received.length;
    const client = await RawClient.open(ports.inbound);
    client.send(`GET / HTTP/1.1\r\nHost: pod\r\n${fields}\r\n`);
    await eventually(() => received.length > count);
    return { seen: received[count] ?? "", client };
  };

  for (const { name, tag, reason } of REFUSED) {
    test(`is not believed, and not carried on: ${name}`, async () => {
      await use(BAGGAGE);
      for (const fields of [`x-tag: ${tag}\r\n`, `baggage: a=b,lane.bag=${tag}\r\n`]) {
        assert.match(await call(fields), /\r\n\r\nbase\n(?![^]*(x-tag|lane\.bag))/);
        const { seen, client } = await arrive(fields);
        assert.doesNotMatch(seen, /x-tag|lane\.bag/);
        client.socket.destroy();
      }
      const want = ["outbound", "inbound"].map((hop) => `${hop} g ${reason}`);
      assert.deepEqual(refused, [...want, ...want]);
    });
  }

  test("a signed tag is handed to the app, and carried on, as it came", async () => {
    await use(BAGGAGE);
    for (const tag of [signed(), OLD_KEY]) {
      const got = await call(`baggage: a=b,lane.bag=${tag}\r\n`);
      assert.match(got, /\r\n\r\ngray\n/);
      assert.ok(got.includes(`x-tag: ${tag}\r\n`));
      assert.ok(got.includes(`baggage: a=b,lane.bag=${tag}\r\n`));
      const { seen, client } = await arrive(`x-tag: ${tag}\r\n`);
      assert.ok(seen.includes(`x-tag: ${tag}\r\n`));
      client.socket.destroy();
    }
    assert.deepEqual(refused, []);
  });

  test("in mode traceId what was believed is remembered, and signed anew", async () => {
    const traceId = { mode: "traceId", routeHeader: "x-tag", traceHeader: "x-id" } as const;
    await use({ ...GROUP, context: traceId });
    const believed = await arrive(`x-id: 1\r\nx-tag: ${OLD_KEY}\r\n`);
    const forged = await arrive("x-id: 2\r\nx-tag: gray\r\n");
    assert.match(
      await call("x-id: 1\r\n"),
      /\r\n\r\ngray\n[^]*x-tag: gray~new~3~\d+~[-_\w]{43}\r\n/,
    );
    assert.match(await call("x-id: 2\r\n"), /\r\n\r\nbase\n(?![^]*x-tag)/);
    assert.match(await call("x-id: 1\r\nx-tag: gray\r\n"), /\r\n\r\nbase\n(?![^]*x-tag)/);
    believed.client.socket.destroy();
    forged.client.socket.destroy();
  });

  test("in an isolated group the calling pod's lane is signed, not the call's", async () => {
    await use({ ...GROUP, isolated: true });
    for (const fields of ["", "x-tag: blue\r\n"]) {
      assert.match(await call(fields), /\r\n\r\ngray\n[^]*x-tag: gray~new~3~\d+~[-_\w]{43}\r\n/);
    }
  });
});
