//! A real Envoy as the gateway, programmed over ADS by `graylane up`.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { findEnvoy } from "../support/envoy.ts";
import type { Envoy } from "../support/envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const SHARE_REQUESTS = 400;

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

suite("a real Envoy as the gateway", { skip, timeout: 240_000 }, () => {
  const backends: Backend[] = [];
  const stateDirectory = temporaryDirectory();
  let graylane: Graylane;
  let envoy: Envoy;
  let xdsPort = 0;
  let port = 0;

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
  ): Promise<Answer> => askAt({ port, host, path, headers });
  /** Applies it and waits until the Envoy runs it. */
  const apply = async (yaml: string): Promise<void> => {
    await graylane.apply(yaml);
    await graylane.published();
  };

  before(async () => {
    xdsPort = await freePort();
    port = await freePort();
    graylane = await start();
    await graylane.apply(BASE + "---" + virtualService(ALL_TO("v1")));
    for (const version of ["v1", "v2"]) {
      const backend = await Backend.start(`shop-${version}`);
      backends.push(backend);
      await backend.announce(graylane, { app: "shop", version });
    }
    const binary = found.kind === "found" ? found.path : "";
    envoy = await startGatewayEnvoy(binary, graylane, { xdsPort, port, id: "edge-1" });
    await graylane.published();
  });
  after(async () => {
    await envoy.stop();
    await graylane.stop();
    for (const backend of backends) await backend.stop();
  });

  test("it serves the routes, and follows a change without a restart", async () => {
    assert.equal((await askEnvoy()).body, "shop-v1");
    await apply(virtualService(ALL_TO("v2")));
    assert.equal((await askEnvoy()).body, "shop-v2");
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

  test("what Envoy refuses is on the resource in its words; the rest goes out", async () => {
    await apply(virtualService(ALL_TO("v1")));
    const large = "\\pL{1000}".repeat(5);
    const match = `[{ match: [{ uri: { regex: '/${large}' } }], `;
    await apply(virtualService(`${match}route: [${toSubset("v2")}] }]`, "bad", "bad.example.com"));
    // Too large a program for Envoy, not for the embedded gateway.
    await graylane.until("the refusal is told", async () => {
      const { status } = await graylane.client.get(KINDS.VirtualService, "default", "bad");
      return /GL0702.*Envoy edge-1 refused the routes.*RE2 program size/.test(
        JSON.stringify(status),
      );
    });
    assert.equal((await askEnvoy()).body, "shop-v1");
    await graylane.cli("delete", "virtualservice", "bad");
    await graylane.published();
  });

  test("proxy-status says what each Envoy runs", async () => {
    const { stdout } = await graylane.cli("proxy-status");
    assert.match(stdout, /NAME +ROLE +CDS +EDS +LDS +RDS\nedge-1 +gateway( +SYNCED){4}\n/);
  });

  test("it serves on while the control plane is killed and started again", async () => {
    await apply(virtualService(ALL_TO("v1")));
    const over = new AbortController();
    const bodies: string[] = [];
    const load = (async () => {
      while (!over.signal.aborted) bodies.push((await askEnvoy()).body);
    })();
    await graylane.kill();
    graylane = await start();
    await graylane.until("the Envoy is back", async () => {
      const { envoys } = await graylane.client.runtimeStatus();
      return envoys.some(({ types }) => types.routes === "SYNCED");
    });
    over.abort();
    await load;
    assert.deepEqual([...new Set(bodies)], ["shop-v1"]);
    await apply(virtualService(ALL_TO("v2")));
    assert.equal((await askEnvoy()).body, "shop-v2");
  });
});
