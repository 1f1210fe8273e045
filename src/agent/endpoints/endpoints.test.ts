//! The agent picks the lane's endpoints by itself: real Node services a -> b -> c without sidecars,
//! by every client, as the list of endpoints changes under them.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { TagSigner } from "../../lane/signed-tag.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import type { LaneGroup } from "../../snapshot/snapshot.ts";
import { ChainPod, deadTwin, listOf, writeList } from "../testing/chain.ts";
import { compileAgent } from "../testing/compiled-agent.ts";

const GRAY = { "x-lane": "gray" };
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const agent = compileAgent();
const folder = mkdtempSync(join(tmpdir(), "graylane-endpoints-"));
const started: ChainPod[] = [];

after(() => {
  for (const pod of started) pod.stop();
  rmSync(folder, { recursive: true, force: true });
  if (agent.folder !== null) rmSync(agent.folder, { recursive: true, force: true });
});

async function startPod(name: string, next: string, place: string): Promise<ChainPod> {
  const env = { GRAYLANE_AGENT_ENDPOINTS: place };
  const pod = await ChainPod.start({ name, next, agentUrl: agent.url, env });
  started.push(pod);
  return pod;
}

describe("a chain of services without sidecars, gray only at a and c", () => {
  const place = join(folder, "chain.json");
  const pods = new Map<string, ChainPod>();

  before(async () => {
    writeList(place, listOf([]));
    const names = ["a-base", "a-gray", "b-base", "c-base", "c-gray"];
    const next: Readonly<Record<string, string>> = { a: "b", b: "c", c: "" };
    for (const pod of await Promise.all(
      names.map((name) => startPod(name, next[name[0] ?? ""] ?? "", place)),
    )) {
      pods.set(pod.name, pod);
    }
  });

  const pod = (name: string): ChainPod => {
    const found = pods.get(name);
    assert.ok(found !== undefined, name);
    return found;
  };

  /** Resolves when every pod goes by the list. */
  async function publish(list: EndpointList): Promise<void> {
    writeList(place, list);
    await Promise.all([...pods.values()].map((each) => each.until(isAt(list))));
  }
  const isAt =
    ({ version }: EndpointList) =>
    (status: { readonly version: string }): boolean =>
      status.version === version;
  const publishAll = (changes: Partial<LaneGroup> = {}): Promise<void> =>
    publish(listOf([...pods.values()], changes));

  test("every client reaches gray, the baseline, and gray again", async () => {
    await publishAll();
    const lanes = [
      { entry: "a-gray", headers: GRAY, way: ["a-gray", "b-base", "c-gray"] },
      { entry: "a-base", headers: {}, way: ["a-base", "b-base", "c-base"] },
      { entry: "a-base", headers: { "x-lane": "unknown" }, way: ["a-base", "b-base", "c-base"] },
    ];
    const asked = pod("a-base").clients.flatMap((client) =>
      lanes.map((each) => ({ client, each })),
    );
    // At once, so that sessions, pools and channels are shared by requests of both lanes.
    await Promise.all(
      [...asked, ...asked, ...asked].map(async ({ client, each }) => {
        assert.deepEqual(await pod(each.entry).ask(client, each.headers), each.way, client);
      }),
    );
  });

  const signature = {
    keys: [
      {
        id: "k",
        signingSecret: Buffer.from("0123456789abcdef0123456789abcdef").toString("base64"),
      },
    ],
    epoch: 1,
    lifetimeMs: 300_000,
  };
  const signed = (): string =>
    new TagSigner("default/chain", signature).sign("gray", systemClock.nowMs()) ?? "";
  const contexts: readonly {
    readonly name: string;
    readonly changes: Partial<LaneGroup>;
    readonly headers: () => Readonly<Record<string, string>>;
    readonly last: string;
  }[] = [
    {
      name: "W3C baggage carries the lane beside the members of others",
      changes: {
        context: {
          ...{ mode: "baggage", routeHeader: "x-lane", baggageKey: "my-lane" },
          stripFromClients: true,
        },
      },
      headers: () => ({ baggage: "user=4711,my-lane=gray" }),
      last: "c-gray",
    },
    {
      name: "in trace-id mode the lane goes with the request, whose trace id the app forwards",
      changes: { context: { mode: "traceId", routeHeader: "x-lane", traceHeader: "traceparent" } },
      headers: () => ({ ...GRAY, traceparent: TRACEPARENT }),
      last: "c-gray",
    },
    {
      name: "a signed tag is believed",
      changes: { signature },
      headers: () => ({ "x-lane": signed() }),
      last: "c-gray",
    },
    {
      name: "a plain tag is not believed in a group that signs",
      changes: { signature },
      headers: () => GRAY,
      last: "c-base",
    },
    {
      name: "in an isolated group the calling pod decides, whatever the request carries",
      changes: { isolated: true },
      headers: () => GRAY,
      last: "c-base",
    },
    {
      name: "a closed lane is the baseline",
      changes: {
        lanes: [
          {
            name: "gray",
            tag: "gray",
            selector: { lane: "gray" },
            services: [],
            enabled: false,
            rule: null,
          },
        ],
      },
      headers: () => GRAY,
      last: "c-base",
    },
    {
      name: "a lane without endpoints falls back to its parent",
      changes: { fallback: "chain" },
      headers: () => ({ "x-lane": "blue" }),
      last: "c-gray",
    },
    {
      name: "the group's lane for a service stands in before the baseline",
      changes: { serviceFallback: { "default/c": "gray" } },
      headers: () => ({ "x-lane": "blue" }),
      last: "c-gray",
    },
  ];

  for (const { name, changes, headers, last } of contexts) {
    test(name, async () => {
      await publishAll(changes);
      for (const client of ["http", "fetch", "http2", "gRPC"]) {
        const way = await pod("a-base").ask(client, headers());
        assert.deepEqual(way, ["a-base", "b-base", last], client);
      }
    });
  }

  test("under a strict policy the call fails, and says which lane and service", async () => {
    await publishAll({ fallback: "strict" });
    const says =
      'service default/b has no ready endpoint in lane "gray" of lane group "default/chain", ' +
      "and the group's fallback policy is strict";
    for (const client of pod("a-base").clients) {
      const [first, error] = await pod("a-gray").ask(client, GRAY);
      const { code, statusCode, message } = error as Readonly<Record<string, unknown>>;
      assert.equal(first, "a-gray");
      assert.ok(String(message).includes(says), `${client}: ${String(message)}`);
      if (client === "gRPC") assert.equal(code, 14);
      else if (!client.startsWith("http2")) {
        assert.deepEqual({ code, statusCode }, { code: "GRAYLANE_NO_ENDPOINT", statusCode: 503 });
      }
      assert.deepEqual(await pod("a-base").ask(client), ["a-base", "b-base", "c-base"], client);
    }
  });

  test("an endpoint that refuses connections is passed over for one of its lane", async () => {
    const all = [...pods.values()];
    await publish(listOf([...all, deadTwin(pod("c-gray")), deadTwin(pod("b-base"))]));
    for (const client of pod("a-base").clients) {
      // Which one is tried first is drawn: of 12 hops each way some meet the dead one.
      for (let count = 0; count < 6; count++) {
        const way = await pod("a-gray").ask(client, GRAY);
        assert.deepEqual(way, ["a-gray", "b-base", "c-gray"], client);
      }
    }
  });

  test("a list that changes is followed while requests go on", async () => {
    const all = [...pods.values()];
    const withoutGray = all.filter(({ name }) => name !== "c-gray");
    const clients = ["http by a pool of one", "fetch", "undici.Pool", "http2", "gRPC"];
    const ends = { "c-gray": listOf(all), "c-base": listOf(withoutGray) };
    for (const [last, list] of [...Object.entries(ends), ...Object.entries(ends)]) {
      const under = { way: true };
      const asked = clients.map(async (client) => {
        while (under.way) {
          const [, , end] = await pod("a-gray").ask(client, GRAY);
          assert.ok(end === "c-gray" || end === "c-base", `${client}: ${JSON.stringify(end)}`);
        }
      });
      await publish(list);
      under.way = false;
      await Promise.all(asked);
      for (const client of clients) {
        assert.deepEqual(await pod("a-gray").ask(client, GRAY), ["a-gray", "b-base", last], client);
      }
    }
  });

  test("calls are spread over the endpoints of the lane", async () => {
    const second = await startPod("c-gray2", "", place);
    // Two pods of one lane: the second's name is not of the lane's.
    await publish(listOf([...pods.values(), { name: "c-gray-2", ports: second.ports }]));
    for (const client of ["http", "fetch", "http2", "gRPC"]) {
      const ends = new Set<unknown>();
      while (ends.size < 2) ends.add((await pod("a-gray").ask(client, GRAY)).at(-1));
      assert.deepEqual([...ends].sort(), ["c-gray", "c-gray2"], client);
    }
  });
});

describe("a list at a URL", () => {
  let server: Server;
  let served: EndpointList = listOf([]);
  let isDown = false;
  let notModified = 0;
  before(async () => {
    server = createServer((request, response) => {
      if (isDown) response.writeHead(500).end();
      else if (request.headers["if-none-match"] === `"${served.version}"`) {
        notModified += 1;
        response.writeHead(304).end();
      } else response.writeHead(200, { etag: `"${served.version}"` }).end(JSON.stringify(served));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(() => server.close());

  test("is asked again, and the last one serves while nobody answers", async () => {
    const { port } = server.address() as AddressInfo;
    const c = await startPod("c-base", "", "");
    const a = await startPod("a-base", "c", `http://127.0.0.1:${port}/agent_endpoints`);
    assert.equal((await a.status()).version, served.version);
    served = listOf([a, c]);
    await a.until(({ version }) => version === served.version);
    assert.deepEqual(await a.ask("http"), ["a-base", "c-base"]);
    while (notModified < 2) await a.status();
    isDown = true;
    await a.until(({ error, ageSeconds }) => error !== "" && ageSeconds >= 1);
    assert.deepEqual(await a.ask("fetch"), ["a-base", "c-base"]);
    await a.said(/it answers 500; the list of \d+ s ago goes on serving/);
    isDown = false;
    await a.said(/is read again/);
  });
});

describe("what is no list", () => {
  const list = listOf([]);
  const cases: readonly {
    readonly name: string;
    readonly text: string | null;
    readonly says: RegExp;
  }[] = [
    { name: "a missing file", text: null, says: /ENOENT: no such file/ },
    { name: "broken JSON", text: '{"formatVersion":1,', says: /it is not JSON/ },
    {
      name: "another version of the format",
      text: JSON.stringify({ ...list, formatVersion: 2 }),
      says: /\{"formatVersion":2\}, and this agent reads formatVersion 1/,
    },
    { name: "another JSON", text: "[]", says: /this agent reads formatVersion 1/ },
    {
      name: "a list without parts",
      text: JSON.stringify({ formatVersion: 1, version: "1" }),
      says: /it is no list of endpoints/,
    },
  ];
  for (const { name, text, says } of cases) {
    test(`${name} is said in one line, and calls go on as without it`, async (context) => {
      const place = join(folder, `${name}.json`);
      if (text !== null) writeFileSync(place, text);
      const own = createServer((_request, response) => response.end('["own"]'));
      context.after(() => own.close());
      own.listen(0, "127.0.0.1");
      await once(own, "listening");
      const a = await startPod("a-base", "c", place);
      const { port } = own.address() as AddressInfo;
      assert.deepEqual(await a.ask(`http@127.0.0.1:${port}`), ["a-base", "own"]);
      const lines = (await a.said(says)).trim().split("\n");
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0] ?? "", /calls go where the app sends them/);
    });
  }
});

test("a list that nobody renews any more is said to be old, and goes on serving", async () => {
  const place = join(folder, "old.json");
  const c = await startPod("c-base", "", "");
  writeList(place, { ...listOf([c]), renewedEverySeconds: 0.2 });
  const a = await startPod("a-base", "c", place);
  await a.until(({ ageSeconds }) => ageSeconds >= 1);
  await a.said(/nobody has renewed the list for \d+ s; it goes on serving/);
  assert.deepEqual(await a.ask("http"), ["a-base", "c-base"]);
});

for (const { name, env, says } of [
  {
    name: "beside a sidecar the list is not used",
    env: { GRAYLANE_OUTBOUND: "127.0.0.1:9" },
    says: /not used: the sidecar picks the endpoints/,
  },
  {
    name: "without context there is no lane to pick",
    env: { GRAYLANE_CARRY: "off" },
    says: /not used: GRAYLANE_CARRY is off/,
  },
]) {
  test(`${name}, which is said`, async () => {
    const all = { ...env, GRAYLANE_AGENT_ENDPOINTS: join(folder, "any.json") };
    const a = await ChainPod.start({ name: "a-base", agentUrl: agent.url, env: all });
    started.push(a);
    await a.said(says);
  });
}
