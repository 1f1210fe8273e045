//! Real Envoys as gateways, programmed over ADS by `graylane up`: one by deltas, one by the state of
//! the world.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { ConfigDump } from "../../src/api/types.ts";
import { canonicalJson } from "../../src/base/canonical-json.ts";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { ENVOY_API_FILE } from "../../src/main/package-root.ts";
import { endEach, stopAll } from "../support/ending.ts";
import { findEnvoy } from "../support/envoy.ts";
import type { Envoy } from "../support/envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const SHARE_REQUESTS = 400;
const LOAD_PER_SECOND = 200;
/** How long the control plane is away, besides the time that it takes to start. */
const AWAY_SECONDS = Number(process.env["GRAYLANE_AWAY_SECONDS"] ?? 0);
const MODES = ["delta", "sotw"] as const;
type Mode = (typeof MODES)[number];

const BASE = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ name: http, port: 8000, targetPort: http }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop, namespace: default }
spec:
  host: shop
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: entry, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
`;

function virtualService(http: string, name = "shop", host = "shop.example.com"): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: default }
spec: { hosts: ["${host}"], gateways: [entry], http: ${http} }
`;
}

const toSubset = (subset: string): string => `{ destination: { host: shop, subset: ${subset} } }`;
const ALL_TO = (subset: string): string => `[{ route: [${toSubset(subset)}] }]`;

/** How many messages of that kind the Envoy has taken. */
async function taken(envoy: Envoy | undefined, stat: string): Promise<number> {
  const at = `http://127.0.0.1:${envoy?.adminPort ?? 0}/stats?filter=${stat}update_success`;
  const text = await (await fetch(at)).text();
  return [...text.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

const API = EnvoyApi.load(ENVOY_API_FILE);
const LISTS = {
  clusters: ["dynamic_active_clusters", "cluster"],
  endpoints: ["dynamic_endpoint_configs", "endpoint_config"],
  listeners: ["dynamic_listeners", "listener"],
  routes: ["dynamic_route_configs", "route_config"],
} as const;

/** What a field without a value is: Envoy leaves it out. The texts are enums' first words. */
const UNSET = new Set<unknown>([0, false, "", "NO_FALLBACK", "AUTO"]);

/** In one spelling: durations and what is not set may be written in several ways. */
function resourcesIn({ configs }: ConfigDump, type: keyof typeof LISTS): string[] {
  const [list, field] = LISTS[type];
  const entries = configs.flatMap((section) => (section[list] ?? []) as JsonObject[]);
  return entries
    .map((entry) => (entry["active_state"] ?? entry) as JsonObject)
    .map((state) => {
      const { "@type": url = "", ...content } = state[field] as JsonObject;
      const message = (url as string).replace("type.googleapis.com/", "");
      const decoded = JSON.stringify(API.decode(message, API.encode(message, content)));
      const isSet = (_name: string, value: unknown): unknown =>
        UNSET.has(value) ? undefined : value;
      return canonicalJson(JSON.parse(JSON.stringify(JSON.parse(decoded), isSet)));
    })
    .sort();
}

function addressesIn(dump: ConfigDump): string[] {
  const addresses = /"cluster_name":"([^"]*)"|"address":"([^"]*)","port_value":(\d+)/g;
  return resourcesIn(dump, "endpoints").map((one) => [...one.matchAll(addresses)].join(" "));
}

const timeout = 240_000 + AWAY_SECONDS * 1_000;

suite("real Envoys as gateways", { skip, timeout }, () => {
  const backends: Backend[] = [];
  const stateDirectory = temporaryDirectory();
  let graylane: Graylane;
  const envoys = new Map<Mode, Envoy>();
  const ports = new Map<Mode, number>();
  let xdsPort = 0;

  const start = (): Promise<Graylane> =>
    Graylane.start({
      files: [],
      stateDirectory,
      words: ["--xds", `127.0.0.1:${xdsPort}`],
      waitsForPods: false,
    });
  const askEnvoy = (
    path = "/",
    headers: readonly (readonly [string, string])[] = [],
    host = "shop.example.com",
    mode: Mode = "delta",
  ): Promise<Answer> => askAt({ port: ports.get(mode) ?? 0, host, path, headers });
  /** Applies it and waits until the Envoy runs it. */
  const apply = async (yaml: string): Promise<void> => {
    await graylane.apply(yaml);
    await graylane.published();
  };

  before(async () => {
    xdsPort = await freePort();
    graylane = await start();
    await graylane.apply(BASE + "---" + virtualService(ALL_TO("v1")));
    for (const version of ["v1", "v2"]) {
      const backend = await Backend.start(`shop-${version}`);
      backends.push(backend);
      await backend.announce(graylane, { app: "shop", version });
    }
    const binary = found.kind === "found" ? found.path : "";
    for (const xdsMode of MODES) {
      const port = await freePort();
      ports.set(xdsMode, port);
      const id = `edge-${xdsMode}`;
      envoys.set(
        xdsMode,
        await startGatewayEnvoy(binary, graylane, { xdsPort, port, id, xdsMode }),
      );
    }
    await graylane.published();
  });
  after(() =>
    endEach(
      () => stopAll(envoys.values()),
      () => graylane.stop(),
      () => stopAll(backends),
    ),
  );

  test("it serves the routes, and follows a change without a restart", async () => {
    for (const subset of ["v1", "v2", "v1"]) {
      await apply(virtualService(ALL_TO(subset)));
      for (const mode of MODES) {
        const { body } = await askEnvoy("/", [], "shop.example.com", mode);
        assert.equal(body, `shop-${subset}`, mode);
      }
    }
  });

  test("a host that no VirtualService has is a 404", async () => {
    assert.equal((await askEnvoy("/", [], "other.example.com")).status, 404);
  });

  test("headers, paths and queries choose; what may not be there does", async () => {
    const match = "{ headers: { x-tier: { exact: gold } }, uri: { prefix: /api }, ";
    const without = "withoutHeaders: { x-stay: { exact: 'yes' } } }";
    const query = "{ queryParams: { beta: { regex: 'o.' } } }";
    const routes = `{ match: [${match}${without}, ${query}], route: [${toSubset("v2")}] }`;
    await apply(virtualService(`[${routes}, { route: [${toSubset("v1")}] }]`));
    const cases: readonly (readonly [string, readonly (readonly [string, string])[], string])[] = [
      ["/api/x", [["x-tier", "gold"]], "shop-v2"],
      ["/api/x", [["x-tier", "goldfish"]], "shop-v1"],
      ["/other", [["x-tier", "gold"]], "shop-v1"],
      [
        "/api/x",
        [
          ["x-tier", "gold"],
          ["x-stay", "yes"],
        ],
        "shop-v1",
      ],
      [
        "/api/x",
        [
          ["x-tier", "gold"],
          ["x-stay", "no"],
        ],
        "shop-v2",
      ],
      ["/other?beta=on", [], "shop-v2"],
      ["/other?beta=off", [], "shop-v1"],
    ];
    for (const [path, headers, want] of cases) {
      const { body } = await askEnvoy(path, headers);
      assert.equal(body, want, `${path} ${JSON.stringify(headers)}`);
    }
  });

  test("weights hold, and each destination edits its own headers", async () => {
    const edit = "headers: { request: { set: { x-share: '50%' }, remove: [x-old] } }";
    const split =
      `[{ route: [{ destination: { host: shop, subset: v1 }, weight: 75, ${edit} }, ` +
      "{ destination: { host: shop, subset: v2 }, weight: 25 }] }]";
    await apply(virtualService(split));
    let count = 0;
    for (let index = 0; index < SHARE_REQUESTS; index++) {
      const answer = await askEnvoy("/", [["x-old", "1"]]);
      const seen = JSON.parse(String(answer.headers["x-seen"])) as Record<string, string>;
      assert.equal(seen["x-share"], answer.body === "shop-v1" ? "50%" : undefined);
      assert.equal(seen["x-old"], answer.body === "shop-v1" ? undefined : "1");
      if (answer.body === "shop-v2") count += 1;
    }
    // Six standard deviations of a binomial draw.
    assert.ok(Math.abs(count - SHARE_REQUESTS / 4) < 52, `${count} of ${SHARE_REQUESTS}`);
  });

  test("a pod that is not ready any more is not called", async () => {
    await apply(virtualService("[{ route: [{ destination: { host: shop } }] }]"));
    const pod = await graylane.client.get(KINDS.Pod, "default", "shop-v1");
    const setReady = async (status: string): Promise<void> => {
      const now = await graylane.client.get(KINDS.Pod, "default", "shop-v1");
      const conditions = [{ type: "Ready", status }];
      const next = { ...(pod.status as object), conditions };
      await graylane.client.updateStatus(KINDS.Pod, { ...now, status: next });
      await graylane.published();
    };
    await setReady("False");
    for (let index = 0; index < 20; index++) assert.equal((await askEnvoy()).body, "shop-v2");
    await setReady("True");
    const bodies = new Set<string>();
    for (let index = 0; index < 60; index++) bodies.add((await askEnvoy()).body);
    assert.deepEqual([...bodies].sort(), ["shop-v1", "shop-v2"]);
  });

  test("what Envoy refuses is on the resource in its words; the rest goes out", async (t) => {
    await apply(virtualService(ALL_TO("v1")));
    const large = "\\pL{1000}".repeat(5);
    const match = `[{ match: [{ uri: { regex: '/${large}' } }], `;
    const appliedMs = systemClock.monotonicMs();
    await apply(virtualService(`${match}route: [${toSubset("v2")}] }]`, "bad", "bad.example.com"));
    // Too large a program for Envoy, not for the embedded gateway.
    await graylane.until("the refusal is told", async () => {
      const { status } = await graylane.client.get(KINDS.VirtualService, "default", "bad");
      const text = JSON.stringify(status);
      return MODES.every((mode) =>
        new RegExp(`GL0702.*Envoy edge-${mode} refused the routes.*RE2 program size`).test(text),
      );
    });
    t.diagnostic(`told after ${Math.round(systemClock.monotonicMs() - appliedMs)} ms`);
    for (const mode of MODES) {
      assert.equal((await askEnvoy("/", [], "shop.example.com", mode)).body, "shop-v1");
    }
    for (const mode of MODES) {
      const { configs } = await graylane.client.configDump(`edge-${mode}`);
      const entries = configs.flatMap(
        (one) => (one["dynamic_route_configs"] ?? []) as JsonObject[],
      );
      const [{ route_config: held, error_state: error, client_status: status } = {}] = entries;
      assert.equal(status, "NACKED");
      assert.match(JSON.stringify(error), /RE2 program size.*|bad\.example\.com/);
      assert.doesNotMatch(JSON.stringify(held), /bad\.example\.com/);
      assert.match(JSON.stringify(held), /shop\.example\.com/);
    }
    const another = await Backend.start("shop-v1-too");
    backends.push(another);
    await another.announce(graylane, { app: "shop", version: "v1" });
    await graylane.published();
    for (const mode of MODES) {
      const bodies = new Set<string>();
      for (let index = 0; index < 60; index++) {
        bodies.add((await askEnvoy("/", [], "shop.example.com", mode)).body);
      }
      assert.deepEqual([...bodies].sort(), ["shop-v1", "shop-v1-too"], mode);
    }
    await graylane.cli("delete", "pod", "shop-v1-too");
    await graylane.cli("delete", "virtualservice", "bad");
    await graylane.published();
  });

  test("proxy-status says what each Envoy runs", async () => {
    const { stdout } = await graylane.cli("proxy-status");
    assert.match(stdout, /^NAME +ROLE +CDS +EDS +LDS +RDS +SDS\n/);
    for (const mode of MODES) {
      assert.match(stdout, new RegExp(`\nedge-${mode} +gateway( +SYNCED){4} +NOT SENT\n`));
    }
  });

  test("proxy-config says what each Envoy runs, as its own config_dump does", async () => {
    for (const mode of MODES) {
      const at = `http://127.0.0.1:${envoys.get(mode)?.adminPort ?? 0}/config_dump?include_eds`;
      const theirs = (await (await fetch(at)).json()) as ConfigDump;
      const ours = await graylane.client.configDump(`edge-${mode}`);
      for (const type of ["clusters", "listeners", "routes"] as const) {
        assert.deepEqual(resourcesIn(ours, type), resourcesIn(theirs, type));
        assert.ok(resourcesIn(ours, type).length > 0);
      }
      assert.deepEqual(addressesIn(ours), addressesIn(theirs));
      assert.ok(addressesIn(ours).length > 0);
    }
    const { stdout } = await graylane.cli("proxy-config", "routes", "edge-delta");
    assert.match(stdout, /istio=ingressgateway:80 +shop\.example\.com +[/][*] +default[/]shop/);
    const missing = await graylane.cli("proxy-config", "routes", "edge-3");
    assert.match(missing.stderr, /no Envoy "edge-3" is connected/);
  });

  test("the embedded gateway's config_dump is that of an Envoy in its place", async () => {
    const envoy = await graylane.client.configDump("edge-delta");
    const embedded = await graylane.client.configDump("embedded");
    for (const type of ["clusters", "routes"] as const) {
      assert.deepEqual(resourcesIn(embedded, type), resourcesIn(envoy, type));
    }
    assert.deepEqual(addressesIn(embedded), addressesIn(envoy));
    const [listener] = (await graylane.client.runtimeStatus()).listeners;
    const port = listener?.address.split(":").at(-1) ?? "";
    assert.match(resourcesIn(embedded, "listeners").join(), new RegExp(`"port_value":${port}\\b`));
  });

  test("they serve on while the control plane is killed and started again", async (t) => {
    await apply(virtualService(ALL_TO("v1")));
    const envoy = envoys.get("delta");
    const stats = ["cds[.]", "lds[.]", "rds[.].*", "^cluster[.].*"];
    const before = await Promise.all(stats.map((stat) => taken(envoy, stat)));
    assert.ok(!before.includes(0), `a statistic is not there: ${before.join(" ")}`);
    const load = MODES.map((mode) => {
      const client = new OpenLoopClient({
        ...{ host: "127.0.0.1", port: ports.get(mode) ?? 0, ratePerSecond: LOAD_PER_SECOND },
        request: () => ({
          bytes: "GET / HTTP/1.1\r\nhost: shop.example.com\r\n\r\n",
          check: ({ status, body }) =>
            status === 200 && body.toString() === "shop-v1" ? null : `${status} ${String(body)}`,
        }),
      });
      client.start();
      return client;
    });
    await graylane.kill();
    await delay(systemClock, AWAY_SECONDS * 1_000);
    graylane = await start();
    await graylane.until("the Envoys are back", async () => {
      const { envoys: back } = await graylane.client.runtimeStatus();
      return back.filter(({ types }) => types.routes === "SYNCED").length === MODES.length;
    });
    for (const client of load) {
      const { failures, failed, right } = await client.stop();
      t.diagnostic(`away for ${AWAY_SECONDS} s and a start: ${right} right, ${failed} failed`);
      assert.deepEqual([failed, failures], [0, []]);
      assert.ok(right > 0);
    }
    // What the Envoy has it is not sent again.
    assert.deepEqual(await Promise.all(stats.map((stat) => taken(envoy, stat))), before);
    await apply(virtualService(ALL_TO("v2")));
    for (const mode of MODES) {
      assert.equal((await askEnvoy("/", [], "shop.example.com", mode)).body, "shop-v2");
    }
  });
});
