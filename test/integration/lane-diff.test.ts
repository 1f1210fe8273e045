//! `lane diff` and `explain -f`, with the gateway's own code, from files alone.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { runCli } from "../../src/cli/program.ts";
import type { CliDependencies } from "../../src/cli/program.ts";
import { offlineGateway } from "../../src/main/offline-gateway.ts";

const BASE = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{name: all, route: [{destination: {host: cart}}]}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart-base, namespace: default}
spec:
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop, namespace: default}
spec:
  entry: {gateways: [{name: edge}]}
  services: [{name: cart}]
  context: {routeHeader: x-lane}
`;

const lane = (name: string, more: string): string => `
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: ${name}, namespace: default}
spec: {group: shop, selector: {matchLabels: {lane: ${name}}}, ${more}}
`;

const line = (user: string | null, more: object = {}): string =>
  JSON.stringify({
    role: "gateway",
    method: "GET",
    path: "/cart",
    authority: "shop.example:18080",
    forwardedFor: "203.0.113.9",
    ...(user === null ? {} : { headers: { "x-user-id": user } }),
    ...more,
  });

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "graylane-diff-"));
  const gray = lane("gray", "rule: {header: x-user-id, operator: in, values: [a, b]}");
  await writeFile(join(folder, "now.yaml"), BASE + gray);
});

after(async () => {
  await rm(folder, { recursive: true });
});

async function run(...words: readonly string[]) {
  let stdout = "";
  let stderr = "";
  const exitCode = await runCli(words, {
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    clock: new FakeClock(0),
    env: {},
    cwd: folder,
    version: "0.1.0",
    interrupted: new AbortController().signal,
    resolveModules: () => Promise.resolve(new Map()),
    offlineGateway,
    plugin: {} as CliDependencies["plugin"],
    up: () => Promise.resolve(0),
    controller: () => Promise.resolve(0),
    envoy: () => Promise.resolve(0),
  });
  return { exitCode, stdout, stderr };
}

async function diff(change: string, lines: readonly string[], ...words: readonly string[]) {
  await writeFile(join(folder, "new.yaml"), change);
  await writeFile(join(folder, "access.log"), `${lines.join("\n")}\n`);
  const files = ["-f", "new.yaml", "--before", "now.yaml", "--traffic", "access.log"];
  return run("lane", "diff", ...files, ...words);
}

test("diff counts who changes lane, with an example, and who stays", async () => {
  const change =
    lane("gray", "rule: {header: x-user-id, operator: in, values: [b, c]}") +
    lane("blue", "rule: {clientIp: true, operator: cidr, values: [198.51.100.0/24]}");
  const lines = [
    ...["a", "b", "c", "d", "c"].map((user) => line(user)),
    line("d", { forwardedFor: "10.0.0.1,198.51.100.7" }),
    JSON.stringify({ role: "outbound", method: "GET", path: "/", authority: "cart" }),
  ];
  const { exitCode, stdout, stderr } = await diff(change, lines);
  assert.equal(stderr.replaceAll(/^.*(info|warning) GL.*\n/gm, ""), "");
  assert.equal(exitCode, 0);
  const text = stdout.replaceAll(/ {2,}/g, " | ");
  assert.equal(
    text,
    `6 requests of access.log, 1 lines of sidecars left out: 2 stay

GROUP | FROM | TO | REQUESTS | EXAMPLE
default/shop | baseline | gray | 2 | GET /cart (x-user-id: c)
default/shop | gray | baseline | 1 | GET /cart (x-user-id: a)
default/shop | baseline | blue | 1 | GET /cart (x-user-id: d, x-forwarded-for: 10.0.0.1)

GROUP | LANE | CONDITION | MET | TAKEN | VERDICT
default/shop | blue | rule | 1 | 1 | used
default/shop | gray | rule | 3 | 3 | used
`,
  );
});

test("diff tells rules that nothing meets, and those that an earlier lane shadows", async () => {
  const change =
    lane("first", "priority: -1, rule: {header: x-user-id, operator: exists}") +
    lane("never", "rule: {header: x-user-id, operator: prefix, value: zzz}");
  const { stdout, stderr } = await diff(
    change,
    ["a", "b"].map((user) => line(user)),
  );
  assert.match(stdout, /gray +rule +2 +0 +shadowed by first \(2\)/);
  assert.match(stdout, /never +rule +0 +0 +dead: no request meets it/);
  assert.match(stderr, /GL0338: .*the lane gray meets that of the lane first/);
});

test("diff names shares over 100 %, and exits with 1", async () => {
  const share = 'ratio: {percent: "70%"}';
  const { exitCode, stderr } = await diff(lane("one", share) + lane("two", share), [line("a")]);
  assert.equal(exitCode, 1);
  assert.match(stderr, /GL0340.*140 %.*one 70 %, two 70 %/);
});

test("diff names each line that it cannot read, and goes on with the others", async () => {
  const lines = [line("a"), "GET / 200", line("b", { method: 7 }), line("b")];
  const { exitCode, stdout, stderr } = await diff(lane("gray", "enabled: false"), lines);
  assert.equal(exitCode, 1);
  assert.match(
    stderr,
    /^access\.log:2: no JSON object; is it an access log in the format json\?$/m,
  );
  assert.match(stderr, /^access\.log:3: no "method"$/m);
  assert.match(stdout, /^2 requests of access\.log: 0 stay/);
});

test("diff says which header the log does not tell", async () => {
  const { stderr } = await diff(lane("gray", "owner: a"), [line(null)]);
  assert.match(
    stderr,
    /the lane gray of default\/shop reads the header x-user-id, which no line tells, so it counts/,
  );
});

test("diff is JSON for programs", async () => {
  const { stdout } = await diff(lane("gray", "enabled: false"), [line("a")], "-o", "json");
  const report = JSON.parse(stdout) as { moves: object[]; stayCount: number };
  assert.equal(report.stayCount, 0);
  assert.deepEqual(report.moves, [
    {
      group: "default/shop",
      from: "gray",
      to: "baseline",
      count: 1,
      examples: ["GET /cart (x-user-id: a)"],
    },
  ]);
});

test("explain answers from files, with the rule's operand and the hop's reason", async () => {
  const url = "http://shop.example/cart";
  const { exitCode, stdout } = await run("explain", "-f", "now.yaml", "-H", "x-user-id: b", url);
  assert.equal(exitCode, 0);
  assert.match(stdout, /Lane: +gray of default\/shop \(reason rule: .*\("b": met\)/);
  assert.match(stdout, /default\/cart: baseline instead of gray \(fallback:no-copy\)/);
  assert.match(stdout, /default\/cart-base-planned +192\.0\.2\.1:80/);
});
