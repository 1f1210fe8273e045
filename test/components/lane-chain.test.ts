//! A lane through services of three languages, with no line changed in any of them: Node with the
//! agent, Java (Spring Boot) with the stock OpenTelemetry agent, Python with OpenTelemetry's
//! auto-instrumentation, Node again. Only the last one has a gray version. First the lane travels
//! in baggage, then, the apps still running, by the trace id; then a Go service is in it, too, which
//! forwards its trace's header and nothing else.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, suite, test } from "node:test";
import { Graylane } from "../support/graylane.ts";
import {
  makeGoService,
  makeJavaService,
  makePythonEnvironment,
  prepareMachine,
} from "./services/setup.ts";

const SERVICES = resolve("test/components/services");
/** A JVM with an agent on a busy machine needs a minute or two. */
const START_TRIES = 5;
const SETUP_TIMEOUT_MS = 840_000;
const USERS_AT_ONCE = 24;

/** OpenTelemetry forwards context, and sends its telemetry nowhere. */
const NO_EXPORT = {
  OTEL_TRACES_EXPORTER: "none",
  OTEL_METRICS_EXPORTER: "none",
  OTEL_LOGS_EXPORTER: "none",
};

interface App {
  readonly name: string;
  readonly version?: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

function deployment({ name, version = "base", command, env = {} }: App): object {
  const labels: Record<string, string> = { app: name, release: version };
  if (version !== "base") labels["lane"] = version;
  const variables = { VERSION: version, ...env };
  const container = {
    name: "app",
    image: "example/app",
    env: Object.entries(variables).map(([key, value]) => ({ name: key, value })),
    ports: [{ containerPort: 8000 }],
  };
  const annotations = { "graylane.io/command": JSON.stringify(command) };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `${name}-${version}`, namespace: "default" },
    spec: {
      selector: { matchLabels: { app: name, release: version } },
      template: { metadata: { labels, annotations }, spec: { containers: [container] } },
    },
  };
}

function service(name: string): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 8000 }] },
  };
}

function apps(): readonly App[] {
  const java = makeJavaService();
  const python = makePythonEnvironment();
  return [
    {
      name: "front",
      command: ["node", join(SERVICES, "front.mjs")],
      env: { NEXT: "http://java:8000/" },
    },
    {
      name: "java",
      command: ["java", `-javaagent:${java.agent}`, "-jar", java.jar],
      env: { NEXT: "http://python:8000/", ...NO_EXPORT },
    },
    {
      name: "python",
      command: [
        join(python, "bin", "opentelemetry-instrument"),
        join(python, "bin", "python"),
        join(SERVICES, "python", "service.py"),
      ],
      env: { NEXT: "http://stock:8000/", ...NO_EXPORT },
    },
    { name: "go", command: [makeGoService()], env: { NEXT: "http://stock:8000/" } },
    { name: "stock", command: ["node", join(SERVICES, "stock.mjs")] },
    { name: "stock", version: "gray", command: ["node", join(SERVICES, "stock.mjs")] },
  ];
}

const ENTRY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  gateways: [istio-system/edge]
  hosts: ["*"]
  http:
  - match: [{uri: {prefix: /go}}]
    route: [{destination: {host: go}}]
  - route: [{destination: {host: front}}]
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray, namespace: default}
spec:
  group: shop
  selector: {matchLabels: {lane: gray}}
  rule: {header: x-user, operator: "==", value: gray}
`;

function laneGroup(context: string): string {
  return `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop, namespace: default}
spec:
  entry: {gateways: [{name: edge, namespace: istio-system}]}
  services: [{name: front}, {name: java}, {name: python}, {name: go}, {name: stock}]
  baseline: {labelKeys: [lane]}
  context: {routeHeader: x-lane, ${context}}
`;
}

const lacks = prepareMachine();
if (lacks !== null && process.env["CI"] === "true") throw new Error(lacks);

suite("a lane through Node, Java, Python and Go", { skip: lacks ?? false }, () => {
  let graylane: Graylane;

  before(
    async () => {
      const all = apps();
      const names = [...new Set(all.map(({ name }) => name))];
      const manifests = [...names.map(service), ...all.map(deployment)];
      graylane = await Graylane.start({ files: [], waitsForPods: false });
      const objects = manifests.map((object) => JSON.stringify(object)).join("\n---\n");
      await graylane.apply([objects, ENTRY, laneGroup("mode: baggage")].join("\n---\n"));
      await settled();
    },
    { timeout: SETUP_TIMEOUT_MS },
  );
  after(async () => {
    const { stateDirectory } = graylane;
    await graylane.stop();
    rmSync(stateDirectory, { recursive: true, force: true });
  });

  /** Each try waits a minute by itself. */
  async function settled(): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await graylane.settle();
        return;
      } catch (error) {
        if (tries === START_TRIES) throw error;
      }
    }
  }

  type Fields = readonly (readonly [name: string, value: string])[];

  interface Stock {
    readonly way: string;
    readonly version: string;
    readonly baggage: string;
  }

  async function ask(path: string, headers: Fields): Promise<Stock> {
    const { status, body } = await graylane.ask({ path, headers });
    assert.equal(status, 200, `${body}\n${graylane.output}`);
    const found = /^(.*) -> stock\((\w+)\) baggage=(.*)$/.exec(body);
    assert.ok(found !== null, body);
    const [, way = "", version = "", baggage = ""] = found;
    return { way, version, baggage };
  }

  async function stockOf(headers: Fields): Promise<Stock> {
    const stock = await ask("/", headers);
    assert.equal(stock.way, "front -> java -> python");
    return stock;
  }

  /** The same for both modes: who is in the lane, who is not, both at once, and forgery. */
  async function assertLanes(): Promise<void> {
    assert.equal((await stockOf([["x-user", "gray"]])).version, "gray");
    assert.equal((await stockOf([["x-user", "other"]])).version, "base");
    await Promise.all(
      Array.from({ length: USERS_AT_ONCE }, async (_, index) => {
        const user = index % 2 === 0 ? "gray" : "other";
        const { version } = await stockOf([["x-user", user]]);
        assert.equal(version, user === "gray" ? "gray" : "base");
      }),
    );
    const forged: Fields = [
      ["x-lane", "gray"],
      ["baggage", "graylane-lane.default.shop=gray"],
    ];
    assert.equal((await stockOf(forged)).version, "base", "a client cannot name its lane");
  }

  test("in baggage", async () => {
    await assertLanes();
    const { version, baggage } = await stockOf([
      ["x-user", "gray"],
      ["baggage", "user=4711"],
    ]);
    assert.equal(version, "gray");
    assert.match(baggage, /(?:^|,)user=4711(?:,|$)/, "the client's own baggage arrives too");
    assert.match(baggage, /graylane-lane\.default\.shop=gray/);
  });

  test("by the trace id, with the same apps still running", async () => {
    await graylane.apply(laneGroup("mode: traceId, traceHeader: traceparent"));
    await graylane.published();
    await assertLanes();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const { version, baggage } = await stockOf([
      ["x-user", "gray"],
      ["traceparent", traceparent],
    ]);
    assert.equal(version, "gray", "a trace that the client has begun is kept");
    assert.doesNotMatch(baggage, /graylane/);
    for (const [user, lane] of [
      ["gray", "gray"],
      ["other", "base"],
    ] as const) {
      const { way, ...stock } = await ask("/go", [["x-user", user]]);
      assert.equal(way, "go");
      assert.equal(stock.version, lane);
    }
  });
});
