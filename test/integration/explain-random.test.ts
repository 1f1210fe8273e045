//! What explain foretells is what a gateway does, for random lane groups and random requests: from
//! YAML objects through validation, compiler, delta, worker and real sockets. `npm test` takes a
//! few; GRAYLANE_EXPLAIN_REQUESTS=100000 takes as many as one likes, and prints what it has seen.

import assert from "node:assert/strict";
import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import type { Prng } from "../../src/base/prng.ts";
import { compile } from "../../src/compile/compile.ts";
import type { ExplainAnswer } from "../../src/dataplane/filter/explain.ts";
import { NOTHING_RECENT } from "../../src/dataplane/recent-decisions.ts";
import { GatewayRole } from "../../src/dataplane/worker/gateway-role.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "../../src/dataplane/worker/protocol.ts";
import { WorkerProcess } from "../../src/dataplane/worker/worker-process.ts";
import { atEnd, endAll, preparer, trafficContext } from "../../src/dataplane/testing/harness.ts";
import { questionOf } from "../../src/main/explain-request.ts";
import type { Resource } from "../../src/resources/object.ts";
import { validateResource } from "../../src/resources/validate.ts";
import { diffSnapshots } from "../../src/snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../src/snapshot/snapshot.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { ask } from "../support/graylane.ts";
import type { Answer, Question } from "../support/graylane.ts";

after(endAll);

const SEED = 20_261_121;
const REQUESTS = Number(process.env["GRAYLANE_EXPLAIN_REQUESTS"] ?? "2000");
const REQUESTS_EACH = 50;
const AT_ONCE = 10;
const LANES_MAX = 5;

const NAMES = ["user", "region", "version"];
const VALUES = ["a", "ab", "b", "10", "1.2.3", "10.0.0.1", "zz"];
const PATHS = ["/", "/cart", "/cart/1?user=a", "/pay?version=1.2.3&user=b", "/other"];

const pick = <T>(prng: Prng, list: readonly T[]): T => list[prng.below(list.length)] as T;
const oneIn = (prng: Prng, count: number): boolean => prng.below(count) === 0;

function randomRule(prng: Prng, depth: number): object {
  const kind = depth === 0 ? 0 : prng.below(4);
  if (kind === 1) return { not: randomRule(prng, depth - 1) };
  if (kind > 1) {
    const of = Array.from({ length: 1 + prng.below(3) }, () => randomRule(prng, depth - 1));
    return kind === 2 ? { all: of } : { any: of };
  }
  const named = pick(prng, ["header", "header", "cookie", "query"]);
  const operand = oneIn(prng, 6)
    ? { [pick(prng, ["path", "method", "host", "clientIp"])]: true }
    : { [named]: pick(prng, NAMES) };
  return { ...operand, ...randomOperator(prng) };
}

function randomOperator(prng: Prng): object {
  switch (prng.below(7)) {
    case 0:
      return { operator: pick(prng, ["exists", "absent"]) };
    case 1:
      return { operator: pick(prng, ["in", "notIn"]), values: [pick(prng, VALUES), "q"] };
    case 2:
      return { operator: pick(prng, ["<", ">="]), value: pick(prng, ["5", "10"]) };
    case 3:
      return { operator: "percentage", value: String(prng.below(101)) };
    case 4:
      return { operator: "regex", value: pick(prng, ["[a-z]+", "1.*", "/cart.*"]) };
    case 5:
      return { operator: "semver", value: pick(prng, [">=1.0.0", "<1.2.0"]) };
    default: {
      const operator = pick(prng, ["==", "!=", "prefix", "suffix", "contains"]);
      return { operator, value: pick(prng, VALUES) };
    }
  }
}

function randomLane(prng: Prng, index: number, count: number): object {
  const lane = {
    group: "shop",
    tag: `tag-${index}`,
    selector: { matchLabels: { lane: `lane-${index}` } },
    enabled: !oneIn(prng, 6),
    priority: prng.below(3),
    ...(oneIn(prng, 4) ? {} : { rule: randomRule(prng, 2) }),
    ...(oneIn(prng, 4) ? { forcedIn: [randomRule(prng, 1)] } : {}),
    ...(oneIn(prng, 4) ? { forcedOut: [randomRule(prng, 1)] } : {}),
    ...(oneIn(prng, 2) ? { ratio: { percent: `${prng.below(Math.floor(100 / count))}%` } } : {}),
    ...(oneIn(prng, 3) ? { parent: `lane-${prng.below(count)}` } : {}),
  };
  return { apiVersion: "graylane.io/v1alpha1", kind: "Lane", name: `lane-${index}`, spec: lane };
}

function randomGroup(prng: Prng): object {
  const mode = pick(prng, ["header", "header", "baggage"]);
  return {
    apiVersion: "graylane.io/v1alpha1",
    kind: "LaneGroup",
    name: "shop",
    spec: {
      entry: {
        gateways: [{ name: "edge" }],
        ...(oneIn(prng, 4) ? { routes: [{ virtualService: "shop", route: "cart" }] } : {}),
      },
      services: [{ name: "cart" }],
      fallback: pick(prng, ["permissive", "strict", "chain"]),
      context: { mode, routeHeader: "x-lane" },
      acceptFromClients: oneIn(prng, 2),
      ratio: { key: pick(prng, [{ header: "user" }, { cookie: "user" }]) },
    },
  };
}

function routes(prng: Prng, laneCount: number): object[] {
  const lane = { host: "cart", subset: `lane-${prng.below(laneCount)}` };
  return [
    { name: "pay", match: [{ uri: { prefix: "/pay" } }], route: [{ destination: lane }] },
    {
      name: "cart",
      match: [{ uri: { prefix: "/cart" } }],
      route: [{ destination: { host: "cart" } }],
    },
    { name: "root", match: [{ uri: { exact: "/" } }], route: [{ destination: { host: "cart" } }] },
  ].slice(prng.below(2));
}

function pod(name: string, address: string, labels: object): object {
  return {
    ...{ apiVersion: "v1", kind: "Pod", name, labels: { app: "cart", ...labels } },
    spec: { containers: [{ name: "cart", image: "cart" }] },
    status: { podIP: address, conditions: [{ type: "Ready", status: "True" }] },
  };
}

interface Loose {
  readonly name: string;
  readonly labels?: object;
}

/** Everything that a gateway runs with, validated as `apply` does. */
function randomResources(prng: Prng, appPort: number): Resource[] {
  const laneCount = 1 + prng.below(LANES_MAX);
  const lanes = Array.from({ length: laneCount }, (_none, index) => index);
  const istio = "networking.istio.io/v1";
  const server = { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] };
  const objects = [
    {
      ...{ apiVersion: istio, kind: "Gateway", name: "edge" },
      spec: { selector: { istio: "ingress" }, servers: [server] },
    },
    {
      ...{ apiVersion: istio, kind: "VirtualService", name: "shop" },
      spec: { hosts: ["*"], gateways: ["edge"], http: routes(prng, laneCount) },
    },
    {
      ...{ apiVersion: "v1", kind: "Service", name: "cart" },
      spec: { selector: { app: "cart" }, ports: [{ port: 80, targetPort: appPort }] },
    },
    randomGroup(prng),
    ...lanes.map((index) => randomLane(prng, index, laneCount)),
    ...(oneIn(prng, 8) ? [] : [pod("base", "127.0.1.1", {})]),
    ...lanes.flatMap((index) =>
      oneIn(prng, 3) ? [] : [pod(`p${index}`, `127.0.2.${index + 1}`, { lane: `lane-${index}` })],
    ),
  ] as readonly Loose[];
  return objects.map(({ name, labels, ...rest }) => {
    const metadata = { name, namespace: "default", ...(labels === undefined ? {} : { labels }) };
    const { resource, faults } = validateResource({ ...rest, metadata });
    assert.ok(resource !== null, JSON.stringify([faults, rest]));
    return resource;
  });
}

function randomQuestion(prng: Prng): Question {
  const headers: (readonly [string, string])[] = [];
  for (const name of NAMES) if (!oneIn(prng, 3)) headers.push([name, pick(prng, VALUES)]);
  if (oneIn(prng, 3)) headers.push(["cookie", `x=1; user=${pick(prng, VALUES)}`]);
  if (oneIn(prng, 5)) headers.push(["x-lane", `tag-${prng.below(LANES_MAX + 1)}`]);
  const member = `graylane-lane.default.shop=tag-${prng.below(LANES_MAX)}`;
  if (oneIn(prng, 8)) headers.push(["baggage", `a=b,${member}`]);
  return { path: pick(prng, PATHS), method: pick(prng, ["GET", "POST"]), headers };
}

/** An app on every loopback address: it answers with the one that was called. */
async function startApp(): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    response.end(request.socket.localAddress);
  });
  await new Promise<void>((done) => server.listen(0, "0.0.0.0", done));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** A gateway worker's whole inside; its messages are JSON, as between processes. */
function startWorker(port: number) {
  const waiting = new Map<number, (message: FromWorker) => void>();
  let tell: (message: ToWorker) => void = () => undefined;
  let lastId = 0;
  const options: WorkerOptions = {
    role: "gateway",
    ...{ id: "test", gatewayHost: "127.0.0.1", portMap: { "80": port } },
    ...{ accessLogPath: "", logPath: "" },
    logLevel: "silent",
  };
  const role = new GatewayRole(options, trafficContext(), preparer());
  atEnd(() => role.stop());
  const channel = {
    send: (message: FromWorker) => {
      if (!("id" in message)) return;
      waiting.get(message.id)?.(JSON.parse(JSON.stringify(message)) as FromWorker);
      waiting.delete(message.id);
    },
    onMessage: (listener: (message: ToWorker) => void) => void (tell = listener),
    onDisconnect: () => undefined,
  };
  const hooks = {
    metrics: () => ({ families: [] }),
    queueReady: () => undefined,
    ejected: () => [],
    setLogLevel: () => undefined,
    recent: () => NOTHING_RECENT,
    hops: () => [],
    pluginLines: () => [],
    onAssertion: (error: unknown) => {
      throw error;
    },
    exit: () => undefined,
  };
  new WorkerProcess(channel, role, hooks).start();
  return (make: (id: number) => ToWorker): Promise<FromWorker> => {
    lastId += 1;
    const id = lastId;
    return new Promise((done) => {
      waiting.set(id, done);
      tell(JSON.parse(JSON.stringify(make(id))) as ToWorker);
    });
  };
}

/** In what the answer differs from what was foretold; `""` when it does not. */
function difference({ decision, hops, localReply, route }: ExplainAnswer, answer: Answer): string {
  const status = localReply?.status ?? 200;
  if (answer.status !== status) return `status ${answer.status}, foretold ${status}`;
  const given = String(answer.headers["x-graylane-lane"]);
  const told: string[] = [];
  if (decision !== null && route !== null) {
    told.push(`${decision.lane ?? "baseline"}; reason=${decision.reason};`);
  }
  if (status === 200) told.push(`served=${hops[0]?.servedLane ?? "baseline"}`);
  const untrue = told.filter((text) => !given.includes(text));
  if (untrue.length > 0) return `${given}, foretold ${untrue.join(" ")}`;
  return status === 200 ? servedElsewhere(hops[0], answer.body) : "";
}

function servedElsewhere(hop: ExplainAnswer["hops"][number] | undefined, address: string): string {
  const pods = hop?.pods.map((pod) => pod.address.replace(/:\d+$/, "")) ?? [];
  return pods.includes(address) ? "" : `served by ${address}, foretold ${pods.join()}`;
}

test(`explain and gateway agree on ${REQUESTS} random requests`, async (context) => {
  const [appPort, port] = [await startApp(), await freePort()];
  const worker = startWorker(port);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  atEnd(() => {
    agent.destroy();
  });
  const prng = new SeededPrng(SEED);
  const seen = new Map<string, number>();
  let held: Snapshot = EMPTY_SNAPSHOT;
  let configurationCount = 0;
  for (let done = 0; done < REQUESTS; done += REQUESTS_EACH) {
    configurationCount += 1;
    const resources = randomResources(prng, appPort);
    const { snapshot } = compile({ resources, modules: new Map() });
    const delta = diffSnapshots(held, snapshot);
    const configured = await worker((id) => ({ type: "config", id, delta }));
    assert.ok(configured.type === "configured" && configured.error === null, "it is configured");
    held = snapshot;
    for (let batch = 0; batch < REQUESTS_EACH; batch += AT_ONCE) {
      const questions = Array.from({ length: AT_ONCE }, () => randomQuestion(prng));
      const asked = questions.map(async (question) => {
        const { path = "/", method = "GET", headers = [] } = question;
        const url = `http://127.0.0.1${path}`;
        const whole = questionOf({ method, url, headers }, snapshot, new Map());
        const [foretold, answer] = await Promise.all([
          worker((id) => ({ type: "explain", id, question: whole })),
          ask(`http://127.0.0.1:${port}`, question, agent),
        ]);
        assert.ok(foretold.type === "explained" && foretold.answer !== null, "it is explained");
        const text = difference(foretold.answer, answer);
        const where = `seed ${SEED}, configuration ${configurationCount}`;
        const shown = JSON.stringify({ question, decision: foretold.answer.decision });
        assert.equal(text, "", `${where}: ${shown} got ${JSON.stringify(answer)}`);
        const reason = `${answer.status} ${foretold.answer.decision?.reason ?? "none"}`;
        seen.set(reason, (seen.get(reason) ?? 0) + 1);
      });
      await Promise.all(asked);
    }
  }
  const counts = [...seen].sort().map(([reason, count]) => `${reason}: ${count}`);
  context.diagnostic(`${configurationCount} configurations, ${counts.join(", ")}`);
  for (const reason of ["forced", "rule", "cohort", "baseline", "route"]) {
    assert.ok((seen.get(`200 ${reason}`) ?? 0) > REQUESTS / 200, counts.join(", "));
  }
});
