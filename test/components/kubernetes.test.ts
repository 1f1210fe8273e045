//! Against a real Kubernetes API server with etcd: our CRDs, and the controller that reads them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { runCli } from "../../src/cli/program.ts";
import { RENEW_MS } from "../../src/controlplane/kubernetes/leader-election.ts";
import { cliDependencies } from "../../src/main/cli-dependencies.ts";
import { ClientCertificates } from "../../src/server/access/client-certificates.ts";
import { whoAmI, type Shown } from "../../src/server/testing/ask-with-certificate.ts";
import { makeCertificateCases } from "../../src/server/testing/certificate-cases.ts";
import type { CertificateCases } from "../../src/server/testing/certificate-cases.ts";
import { Served } from "../../src/server/testing/served.ts";
import { Controller } from "../support/controller.ts";
import { Envoy, findEnvoy } from "../support/envoy.ts";
import { findKubectl, Kubectl } from "../support/kubectl.ts";
import { KubernetesServer, tokenOf } from "../support/kubernetes.ts";
import { ACCESS_USERS, BothServers, differenceOf } from "./kubernetes-access.ts";
import { listDifferences } from "./kubernetes-lists.ts";
import { lifeDifferences } from "./kubernetes-lives.ts";
import { everythingAsked } from "./kubernetes-access-cases.ts";
import { allKinds, Mesh } from "./kubernetes-sidecars.ts";
import { pluginsAndShares } from "./kubernetes-plugins.ts";
import { laneOf, podOf, readyAt, SHOP, STOCK, stockAt } from "./kubernetes-shop.ts";

const SETS = "graylane,istio,asm,higress";

let server: KubernetesServer;
let kubectl: Kubectl;
let certificates: CertificateCases;
const closing: (() => unknown)[] = [];

before(async () => {
  certificates = await makeCertificateCases();
  const { authorities } = certificates;
  const starting = KubernetesServer.start({ users: ACCESS_USERS, authorities });
  const [path, started] = await Promise.all([findKubectl(), starting]);
  server = started;
  kubectl = new Kubectl(path, server.directory);
  process.stdout.write(await kubectl.demand("version"));
});

after(async () => {
  await Promise.all(closing.map((close) => close()));
  await server.stop();
});

/** What `graylane install --print` says. */
function printed(...words: readonly string[]): Promise<string> {
  return said("install", "--print", "--image", "graylane:test", "--crds", SETS, ...words);
}

/** What a command prints. */
async function said(...words: readonly string[]): Promise<string> {
  let [out, err] = ["", ""];
  const terminal = {
    stdout: { write: (text: string) => void (out += text) },
    stderr: { write: (text: string) => void (err += text) },
  };
  const code = await runCli(words, cliDependencies(terminal, AbortSignal.timeout(60_000)));
  assert.equal(code, 0, err);
  return out;
}

function injected(text: string, ...words: readonly string[]): Promise<string> {
  const file = join(server.directory, "workload.yaml");
  writeFileSync(file, text);
  return said("inject", "-f", file, ...words);
}

/** Applies a text. */
function apply(text: string, ...words: readonly string[]): ReturnType<Kubectl["run"]> {
  const file = join(server.directory, "applied.yaml");
  writeFileSync(file, text);
  return kubectl.run("apply", "-f", file, ...words);
}

async function demandApplied(text: string): Promise<void> {
  const { exitCode, stderr } = await apply(text);
  assert.equal(exitCode, 0, stderr);
}

test("all that `graylane install` prints is taken, and no Pod asks for more than restricted", async () => {
  const file = join(server.directory, "install.yaml");
  writeFileSync(file, await printed("--gateway", "istio=ingressgateway"));
  const words = ["apply", "--server-side", "--validate=strict", "-f", file];
  const { exitCode, stdout, stderr } = await kubectl.run(...words);
  assert.equal(exitCode, 0, stderr);
  // The API server warns of a Pod that it would refuse.
  assert.doesNotMatch(stderr, /Warning/);
  assert.match(stdout, /deployment\.apps\/graylane serverside-applied/);
  assert.match(stdout, /service\/graylane-gateway serverside-applied/);
});

test("workloads of all kinds are taken with their sidecar where `restricted` is enforced", async () => {
  const levels = ["enforce", "warn"].map(
    (mode) => `pod-security.kubernetes.io/${mode}: restricted`,
  );
  const labels = `labels: { ${levels.join(", ")} }`;
  await demandApplied(`apiVersion: v1\nkind: Namespace\nmetadata: { name: strict, ${labels} }\n`);
  const words = ["-n", "strict", "--server-side", "--dry-run=server", "--validate=strict"];
  const text = await injected(allKinds());
  const taken = await apply(text, ...words);
  assert.equal(taken.exitCode, 0, taken.stderr);
  assert.doesNotMatch(taken.stderr, /Warning/);
  assert.equal(taken.stdout.match(/serverside-applied/g)?.length, 7);
  // The sidecar is looked at as well.
  const refused = await apply(text.replaceAll("runAsUser: 101", "runAsUser: 0"), ...words);
  assert.match(refused.stderr, /Warning: would violate PodSecurity.*graylane-sidecar/s);
  assert.match(refused.stderr, /pods "listed" is forbidden.*graylane-sidecar/s);
});

test("our CRDs are established, and have schemas without a fault", async () => {
  await kubectl.demand("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s");
  // A schema that is not structural is told by this condition.
  const path =
    "jsonpath={range .items[*].status.conditions[?(@.type=='NonStructuralSchema')]}{.message}{end}";
  assert.equal(await kubectl.demand("get", "crd", "-o", path), "");
  assert.match(await kubectl.demand("explain", "lanegroup.spec.context"), /routeHeader/);
});

const EXAMPLES = [
  ...["gateway", "services", "virtual-service", "lanes", "wasm"].map(
    (name) => `examples/asm-hash-tagging/${name}.yaml`,
  ),
  "examples/mse-order",
  "examples/canary-wishes",
];

test("the manifests of our examples apply as they are, unknown fields refused", async () => {
  await kubectl.demand("create", "namespace", "istio-system");
  for (const file of EXAMPLES) {
    await kubectl.demand("apply", "--dry-run=server", "--validate=strict", "-f", file);
  }
});

const GROUP = `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shop, namespace: default }
spec:
  entry: { gateways: [{ name: shop }] }
  services: [{ name: cart }]
  context: { routeHeader: x-shop-lane }
`;
const LANE = `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: gray, namespace: default }
spec:
  group: shop
  selector: { matchLabels: { version: gray } }
`;

const REFUSED = [
  ["a field that is not known", `${LANE}  enabeld: true\n`, /unknown field "spec.enabeld"/],
  [
    "a field of the wrong type",
    `${LANE}  priority: high\n`,
    /spec\.priority.* must be of type int/,
  ],
  ["a missing field", LANE.replace("  group: shop\n", ""), /spec\.group: Required value/],
  ["a value out of its list", `${GROUP}  fallback: maybe\n`, /spec\.fallback: Unsupported value/],
  ["a name that is none", LANE.replace("shop", "Shop_1"), /spec\.group.* should match/],
  [
    "two fields of which one may be given",
    `${GROUP}  baseline: { lane: a, labelKeys: [b] }\n`,
    /needs at most one of labelKeys, lane/,
  ],
] as const;

for (const [what, text, why] of REFUSED) {
  test(`the API server refuses ${what}`, async () => {
    const { exitCode, stderr } = await apply(text, "--dry-run=server");
    assert.equal(exitCode, 1);
    assert.match(stderr, why);
  });
}

test("the API server fills our defaults and drops what it does not know", async () => {
  await demandApplied(GROUP);
  const { exitCode } = await apply(`${LANE}  enabeld: true\n`, "--validate=ignore");
  assert.equal(exitCode, 0);
  const lane = await kubectl.demand("get", "lane", "gray", "-o", "jsonpath={.spec}");
  assert.deepEqual(JSON.parse(lane), {
    ...{ group: "shop", selector: { matchLabels: { version: "gray" } } },
    ...{ enabled: true, priority: 0 },
  });
  const path = "jsonpath={.spec.fallback} {.spec.context.mode} {.spec.baseline}";
  assert.equal(
    await kubectl.demand("get", "lanegroup", "shop", "-o", path),
    "permissive header {}",
  );
  await kubectl.demand("delete", "lane,lanegroup", "--all");
});

test("fields of others' kinds that we do not know are kept", async () => {
  const text = readFileSync("examples/asm-hash-tagging/virtual-service.yaml", "utf8");
  assert.match(text, /^spec:$/m);
  await demandApplied(text.replace(/^spec:$/m, "spec:\n  somethingNew: { of: Istio }"));
  const path = "jsonpath={.items[*].spec.somethingNew.of}";
  const kept = await kubectl.demand("get", "vs", "-A", "-o", path);
  assert.equal(kept, "Istio");
  await kubectl.demand("delete", "vs", "--all", "-A");
});

/** Of what all users ask, every so many; 1: all of it, which takes half a minute. */
const ASKED_EVERY = Number(process.env["GRAYLANE_ACCESS_EVERY"] ?? 8);
const ASKED_AT_ONCE = 16;

let both: BothServers;

test("our API server pages lists as Kubernetes does, and refuses in its words", async () => {
  both = await BothServers.start(server);
  closing.push(() => both.stop());
  assert.deepEqual(await listDifferences(both), []);
});

test("Namespaces, owners and service accounts live and go in our API server as in Kubernetes", async () => {
  assert.deepEqual(await lifeDifferences(both), []);
});

test("our API server lets users do what Kubernetes does, and refuses in its words", async (t) => {
  const wanted = Object.keys(ACCESS_USERS).flatMap((user, index) => {
    const asked = [...everythingAsked()];
    return asked
      .filter((_, at) => (at + index) % ASKED_EVERY === 0)
      .map((each) => ({ user, each }));
  });
  const differences: string[] = [];
  let refused = 0;
  for (let at = 0; at < wanted.length; at += ASKED_AT_ONCE) {
    const some = wanted.slice(at, at + ASKED_AT_ONCE).map(async ({ user, each }) => {
      const answers = await both.ask(user, each);
      if (answers[1].code === 403) refused += 1;
      const difference = differenceOf(each, answers);
      if (difference === null) return;
      differences.push(`${user}: ${JSON.stringify(each)}\n${difference}`);
    });
    await Promise.all(some);
  }
  t.diagnostic(`${wanted.length} requests compared, ${refused} of them refused`);
  assert.deepEqual(differences, []);
  assert.ok(refused > wanted.length / 4 && refused < wanted.length, String(refused));
});

test("our API server takes the client certificates that Kubernetes takes", async (t) => {
  const { authorities, cases, alice } = certificates;
  const file = join(server.directory, "our-client-ca.crt");
  writeFileSync(file, authorities);
  const ours = await Served.start(
    {
      clock: systemClock,
      certificates: new ClientCertificates(file, (fault) => assert.fail(fault)),
    },
    certificates.server,
  );
  closing.push(() => ours.stop());
  const stranger = cases.find(({ name }) => name === "itself") ?? assert.fail();
  const shown: readonly (Shown & { readonly name: string; readonly isOurs?: boolean })[] = [
    ...cases.map((pair) => ({ name: pair.name, pair, isOurs: pair.isOurs })),
    { name: "right, beside a wrong token", pair: alice, token: "wrong" },
    { name: "right, beside a right token", pair: alice, token: tokenOf("nobody") },
    { name: "wrong, beside a wrong token", pair: stranger, token: "wrong" },
  ];
  const different: string[] = [];
  for (const { name, isOurs, ...each } of shown) {
    const both = await Promise.all([whoAmI(ours.server.url, each), whoAmI(server.url, each)]);
    const [own, other] = both.map(({ user }) => JSON.stringify(user));
    if (own !== other && isOurs !== true) different.push(`${name}: ${own ?? ""} ${other ?? ""}`);
    assert.equal(both[0].code, both[0].user === null ? 401 : 201, name);
  }
  t.diagnostic(`${shown.length} ways to show a certificate compared`);
  assert.deepEqual(different, []);
});

// The controller's part: each test goes on where the one before has ended.

const WAIT = "--timeout=60s";
/** Longer than the pause between two renewals of the Lease. */
const IDLE_MS = RENEW_MS + 1_000;

let first: Controller;
let second: Controller;
/** Which of them runs. */
let current: Controller;
let gatewayPort = 0;
/** As installed; asked once, for there is not always an API server. */
let bootstraps = "";
/** An app that says its name, in the place of a Pod's container. */
async function app(name: string, host = "127.0.0.1"): Promise<number> {
  const listening = createServer((_request, response) => response.end(name));
  await new Promise<void>((resolve) => listening.listen(0, host, resolve));
  closing.push(() => {
    listening.closeAllConnections();
    listening.close();
  });
  return (listening.address() as AddressInfo).port;
}

async function setReady(pod: string, isReady = true): Promise<void> {
  const status = readyAt("127.0.0.1", isReady);
  await kubectl.demand("patch", "pod", pod, "--subresource=status", "-p", status);
}

/** The bootstrap of the gateway that was installed, with the ports of this machine. */
async function installedBootstrap(ports: {
  readonly xds: number;
  readonly gateway: number;
  readonly admin: number;
}): Promise<object> {
  const path = "jsonpath={.spec.template.spec.containers[0].args[1]}";
  const words = ["get", "deployment", "graylane-gateway", "-n", "graylane-system", "-o", path];
  const text = (bootstraps ||= await kubectl.demand(...words))
    .replaceAll("$(POD_NAME)", `edge-${ports.gateway}`)
    .replaceAll('"address":"graylane.graylane-system.svc","port_value":15010', () => {
      return `"address":"localhost","port_value":${ports.xds}`;
    })
    .replace('"port_value":15000', `"port_value":${ports.admin}`)
    .replace('"80":8080', `"80":${ports.gateway}`);
  return JSON.parse(text) as object;
}

async function gatewayEnvoy(xdsPort: number, port: number): Promise<Envoy> {
  const found = await findEnvoy();
  assert.equal(found.kind, "found");
  const started = await Envoy.start({
    binary: found.path,
    bootstrap: (adminPort) => installedBootstrap({ xds: xdsPort, gateway: port, admin: adminPort }),
  });
  closing.push(() => started.stop());
  return started;
}

/** On a connection of its own: one that is open keeps the listener that it came in by. */
function ask(user: string, port = gatewayPort): Promise<string> {
  return answerTo({ "x-user": user }, port).catch(() => "no answer");
}

async function answerTo(headers: OutgoingHttpHeaders, port: number): Promise<string> {
  const options = { host: "127.0.0.1", port, headers, agent: false };
  const [response] = (await once(get(options), "response")) as [IncomingMessage];
  return `${response.statusCode} ${(await response.setEncoding("utf8").toArray()).join("")}`;
}

async function untilAnswers(user: string, wanted: string, port = gatewayPort): Promise<void> {
  await current.until(`${user} gets ${wanted}`, async () => (await ask(user, port)) === wanted);
}

test("a controller with the rights of `install` serves an Envoy from the cluster", async () => {
  const pods = [podOf("cart-1", "", await app("base")), podOf("cart-2", "gray", await app("gray"))];
  await demandApplied([SHOP, laneOf('operator: "==", value: ann'), ...pods].join("---\n"));
  await setReady("cart-1");
  await setReady("cart-2");
  first = await Controller.start(server.controllerKubeconfig);
  closing.push(() => first.stop());
  current = first;
  gatewayPort = await freePort();
  await gatewayEnvoy(first.xdsPort, gatewayPort);
  await untilAnswers("bob", "200 base");
  await untilAnswers("ann", "200 gray");
});

test("a Pod that is not ready gets nothing, and its lane falls back", async () => {
  await setReady("cart-2", false);
  await untilAnswers("ann", "200 base");
  await setReady("cart-2");
  await untilAnswers("ann", "200 gray");
});

test("plug-ins and shares of users: the Envoy fetches the modules from the controller", async () => {
  await pluginsAndShares({ demandApplied, kubectl, ask, untilAnswers, controller: first });
});

/** What the gateway answers for the host. */
function askFor(host: string, user = ""): Promise<string> {
  return answerTo({ host, "x-user": user }, gatewayPort);
}

/** An address of this machine that is not loopback. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  const own = all.find(({ family, internal }) => family === "IPv4" && !internal);
  assert.ok(own !== undefined, "this machine has no address but loopback");
  return own.address;
}

test("a Service without a selector has the endpoints of its EndpointSlice, as it changes", async () => {
  const address = ownAddress();
  await demandApplied([STOCK, stockAt(address, await app("old", address))].join("---\n"));
  await first.until("stock.example is served", async () => {
    return (await askFor("stock.example")) === "200 old";
  });
  await demandApplied(stockAt(address, await app("new", address)));
  await first.until("stock.example has moved", async () => {
    return (await askFor("stock.example")) === "200 new";
  });
  await kubectl.demand("delete", "endpointslice", "stock-1");
  await first.until("stock.example is gone", async () => {
    return (await askFor("stock.example")).startsWith("503 ");
  });
});

test("the leader writes statuses, and of a wrong object why it is not used", async () => {
  await kubectl.demand("wait", "--for=condition=Accepted", "lane/gray", "lg/shop", WAIT);
  // No schema of Kubernetes says that this is no regular expression.
  await demandApplied(laneOf('operator: regex, value: "["'));
  await kubectl.demand("wait", "--for=condition=Accepted=False", "lane/gray", WAIT);
  const path = "jsonpath={.status.validationMessages[0].type.code} {.status.conditions[0].message}";
  assert.match(await kubectl.demand("get", "lane", "gray", "-o", path), /^GL0112 .*spec\.rule/);
  assert.equal(await ask("ann"), "200 gray", "the last good version goes on");
  await first.until("told by an Event", async () =>
    /Warning +Invalid .*graylane +GL0112: spec\.rule/.test(
      await kubectl.demand("describe", "lane", "gray"),
    ),
  );
  await demandApplied(laneOf('operator: "==", value: eve'));
  await kubectl.demand("wait", "--for=condition=Accepted", "lane/gray", WAIT);
  await untilAnswers("eve", "200 gray");
  assert.equal(await ask("ann"), "200 base");
});

test("only one of two replicas leads; when it ends, the other writes", async () => {
  await first.until("leads", () => first.leads());
  second = await Controller.start(server.controllerKubeconfig);
  closing.push(() => second.stop());
  assert.equal(await second.leads(), false);
  assert.equal(await first.stop(), 0);
  current = second;
  await second.until("leads", () => second.leads());
  await demandApplied(laneOf('operator: regex, value: "["'));
  await kubectl.demand("wait", "--for=condition=Accepted=False", "lane/gray", WAIT);
  await demandApplied(laneOf('operator: "==", value: eve'));
  await kubectl.demand("wait", "--for=condition=Accepted", "lane/gray", WAIT);
});

test("idle, it asks for nothing: there are its watches and the leader's Lease", async () => {
  // Both kinds of reading are long over when the last status has been read back.
  const before = server.audited().length;
  await delay(systemClock, IDLE_MS);
  const asked = server.audited().slice(before);
  assert.ok(asked.some(({ objectRef }) => objectRef?.resource === "leases"));
  const others = asked.filter(
    ({ verb, objectRef }) => verb !== "watch" && objectRef?.resource !== "leases",
  );
  assert.deepEqual(
    others.map(({ verb, requestURI }) => `${verb} ${requestURI}`),
    [],
  );
  const all = server.audited();
  assert.ok(all.some(({ verb }) => verb === "watch"));
  const writes = all.filter(({ verb }) => verb !== "watch" && verb !== "list" && verb !== "get");
  const resources = new Set(
    writes.map(({ objectRef }) => objectRef?.subresource ?? objectRef?.resource),
  );
  assert.deepEqual([...resources].sort(), ["events", "leases", "status"], "it writes nothing else");
});

test("without the API server it serves what it knows, to new Envoys too, then goes on", async () => {
  await server.stopApi();
  gatewayPort = await freePort();
  await gatewayEnvoy(second.xdsPort, gatewayPort);
  await untilAnswers("eve", "200 gray");
  await server.startApi();
  await demandApplied(laneOf('operator: "==", value: kim'));
  await untilAnswers("kim", "200 gray");
  await kubectl.demand("wait", "--for=condition=Accepted", "lane/gray", WAIT);
  assert.match(await second.readyz(), /^200/);
});

test("Pods that were injected keep calls in their lane, and fall back where it has no copy", async () => {
  const found = await findEnvoy();
  assert.equal(found.kind, "found");
  const { xdsPort } = second;
  const tax = podOf("tax-1", "", await app("tax base")).replace("app: cart", "app: tax");
  const mesh = new Mesh({
    ...{ kubectl, controller: second, binary: found.path, closing },
    apply: demandApplied,
    inject: (text) => injected(text, "--xds", `127.0.0.1:${xdsPort}`),
  });
  await mesh.start(tax);
  await setReady("tax-1");
  const answer = (user: string, wanted: string): Promise<void> =>
    second.until(`${user} gets ${wanted}`, async () => {
      return (await askFor("mesh.example", user)) === `200 ${wanted}`;
    });
  await answer("kim", "front gray, back gray, tax base");
  await answer("bob", "front base, back base, tax base");
  assert.equal(mesh.carried("front-gray-1"), "x-shop-lane", "it came in by the sidecar");
  await mesh.setReady("back-gray-1", false);
  await answer("kim", "front gray, back base, tax base");
});
