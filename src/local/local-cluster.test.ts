import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { SeededPrng } from "../base/prng.ts";
import { loadImageMap } from "../resources/image-map.ts";
import type { Resource } from "../resources/object.ts";
import { validateResource } from "../resources/validate.ts";
import { AppKeeper } from "./app-keeper.ts";
import { FakeSidecars, FakeStore } from "./fakes.ts";
import { LocalCluster } from "./local-cluster.ts";
import { OUTBOUND_ANNOTATION, PORTS_ANNOTATION } from "./pod-object.ts";
import type { LocalClusterOptions, LocalReport } from "./seam.ts";

const SERVER = `
  const { HOST, PORT, version } = process.env;
  require("node:http").createServer((request, response) => {
    if (request.url === "/crash") process.exit(3);
    response.end(version);
  }).listen(Number(PORT), HOST);
`;

interface Harness {
  readonly store: FakeStore;
  readonly sidecars: FakeSidecars;
  readonly cluster: LocalCluster;
  readonly reports: LocalReport[];
  readonly stateDir: string;
}

let seed = process.pid;
const open = new Set<Harness>();
const stateDir = mkdtempSync(join(tmpdir(), "graylane-local-"));

after(async () => {
  await Promise.all([...open].map(({ cluster }) => cluster.close()));
  rmSync(stateDir, { recursive: true, force: true });
});

function harness(options: Partial<LocalClusterOptions> & { store?: FakeStore } = {}): Harness {
  const { store = new FakeStore() } = options;
  const own = options.stateDir ?? mkdtempSync(join(stateDir, "state-"));
  const sidecars = new FakeSidecars();
  const reports: LocalReport[] = [];
  const cluster = new LocalCluster({
    sidecars,
    clock: systemClock,
    prng: new SeededPrng(seed++),
    images: loadImageMap([resolve("catalogue/images.yaml")]).map,
    baseDir: stateDir,
    agentUrl: null,
    hostEnv: process.env,
    report: (report) => reports.push(report),
    limits: { stopGraceMs: 2_000, failedShownMs: 300 },
    ...options,
    ...{ store, stateDir: own },
  });
  const made = { store, sidecars, cluster, reports, stateDir: own };
  open.add(made);
  return made;
}

interface DeploymentOptions {
  readonly replicas?: number;
  readonly command?: readonly string[];
  readonly container?: object;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly version?: string;
}

function deployment(name: string, options: DeploymentOptions = {}): Resource {
  const version = options.version ?? "v1";
  const container = {
    name: "main",
    image: "example.com/test:1",
    command: options.command ?? [process.execPath, "-e", SERVER],
    env: [{ name: "version", value: version }],
    ports: [{ containerPort: 8000 }],
    ...options.container,
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default", generation: 1 },
    spec: {
      replicas: options.replicas ?? 1,
      template: {
        metadata: { labels: { app: name, version }, annotations: options.annotations ?? {} },
        spec: { containers: [container] },
      },
    },
  };
}

interface PodStatus {
  readonly phase: string;
  readonly podIP: string;
  readonly conditions: readonly { type: string; status: string; message?: string }[];
  readonly containerStatuses: readonly {
    restartCount: number;
    state: { waiting?: { reason: string; message?: string } };
  }[];
}

const statusOf = (pod: Resource): PodStatus => pod.status as PodStatus;

function isReady(pod: Resource): boolean {
  const ready = statusOf(pod).conditions.find(({ type }) => type === "Ready");
  return ready?.status === "True" && pod.metadata.deletionTimestamp === undefined;
}

const waitingOf = (pod: Resource): { reason: string; message?: string } | undefined =>
  statusOf(pod).containerStatuses[0]?.state.waiting;

const waitsForEnvoy = (pod: Resource): boolean => waitingOf(pod)?.reason === "WaitingForEnvoy";

function appAddress(pod: Resource): string {
  const ports = pod.metadata.annotations?.[PORTS_ANNOTATION] ?? "{}";
  return Object.values(JSON.parse(ports) as Record<string, string>)[0] ?? "";
}

function get(address: string, path = "/"): Promise<string> {
  return new Promise((done, fail) => {
    http
      .get(`http://${address}${path}`, { agent: false }, (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () => {
          done(body);
        });
      })
      .on("error", fail);
  });
}

test("a Deployment becomes pods with addresses, labels and a Ready condition", async () => {
  const { store, sidecars, cluster } = harness();
  store.put(deployment("web", { replicas: 2 }));
  await cluster.start();
  const pods = await store.until((each) => {
    const ready = each.pods().filter(isReady);
    return ready.length === 2 && ready;
  });

  for (const pod of pods) {
    assert.deepEqual(validateResource(pod).faults, [], "the Pod object is valid");
    assert.match(pod.metadata.name, /^web-[0-9a-f]{10}-[a-z0-9]{5}$/);
    assert.deepEqual(pod.metadata.labels, { app: "web", version: "v1" });
    assert.match(pod.metadata.annotations?.[OUTBOUND_ANNOTATION] ?? "", /^127\.20\.0\.\d+:\d+$/);
    assert.equal(statusOf(pod).phase, "Running");
    assert.equal(await get(appAddress(pod)), "v1");
    assert.ok(sidecars.calls.includes(`ready default/${pod.metadata.name}`));
  }
  const [first, second] = pods.map((pod) => statusOf(pod).podIP);
  assert.match(first ?? "", /^127\.10\./);
  assert.notEqual(first, second);
  const status = await store.until((each) => readyReplicas(each, "web") === 2);
  assert.ok(status);
});

type Strings = Readonly<Record<string, string>>;

const WITHOUT_SIDECAR: Readonly<Record<string, Readonly<Record<string, Strings>>>> = {
  "our annotation": { annotations: { "graylane.io/sidecar": "false" } },
  "Istio's label": { labels: { app: "web", "sidecar.istio.io/inject": "false" } },
  "Istio's annotation": { annotations: { "sidecar.istio.io/inject": "false" } },
};
for (const [name, metadata] of Object.entries(WITHOUT_SIDECAR)) {
  test(`${name} gives a pod without a sidecar, whose app has the pod's address`, async () => {
    const { store, sidecars, cluster } = harness();
    const object = deployment("web", {});
    const { template } = object["spec"] as {
      readonly template: { readonly metadata: Record<string, Strings> };
    };
    for (const [field, more] of Object.entries(metadata)) {
      template.metadata[field] = { ...template.metadata[field], ...more };
    }
    store.put(object);
    await cluster.start();
    const pod = await store.until((each) => each.pods().find(isReady) ?? false);
    const { annotations = {} } = pod.metadata;
    assert.equal(annotations[OUTBOUND_ANNOTATION], undefined);
    assert.match(appAddress(pod), new RegExp(`^${statusOf(pod).podIP}:`));
    assert.equal(await get(appAddress(pod)), "v1");
    assert.deepEqual(
      sidecars.calls.filter((call) => call.startsWith("ready")),
      [],
    );
    assert.ok(cluster.hasPodsWithoutSidecar());
  });
}

test("a pod waits for its Envoy, says how it is started, and goes without it", async () => {
  const { store, sidecars, cluster } = harness({ usualSidecar: "envoy" });
  let startEnvoy = (): void => undefined;
  sidecars.envoy = new Promise((resolve) => (startEnvoy = resolve));
  store.put(deployment("web"));
  const annotations = { "graylane.io/sidecar": "embedded" };
  store.put(deployment("own", { annotations }));
  await cluster.start();
  const [own, pod] = await store.until((each) => {
    const waiting = each.pods().find(waitsForEnvoy);
    const ready = each.pods().find(isReady);
    return waiting !== undefined && ready !== undefined && ([ready, waiting] as const);
  });
  assert.match(own.metadata.name, /^own-/);
  const how = `graylane envoy-bootstrap --role sidecar --pod ${pod.metadata.name}.default`;
  assert.equal(waitingOf(pod)?.message, `waits for its sidecar: ${how}`);
  assert.equal(pod.metadata.annotations?.["local.graylane.io/sidecar"], "envoy");
  assert.equal(own.metadata.annotations?.["local.graylane.io/sidecar"], undefined);

  store.put(deployment("second"));
  await store.until((each) => each.pods().filter(waitsForEnvoy).length === 2);
  store.remove("Deployment", "default", "second");
  await store.until((each) => each.pods().length === 2);
  assert.ok(sidecars.calls.some((call) => call.startsWith("envoy not needed default/second")));

  startEnvoy();
  await store.until((each) => each.pods().filter(isReady).length === 2);
  store.remove("Deployment", "default", "web");
  await store.until((each) => each.pods().length === 1);
  const drained = sidecars.calls.filter((call) => call.startsWith("drained"));
  assert.deepEqual(drained, [], "an Envoy is not asked");
});

function readyReplicas(store: FakeStore, name: string): number | undefined {
  const object = store.get("Deployment", "default", name);
  return (object?.status as { readyReplicas?: number } | undefined)?.readyReplicas;
}

test("a changed template rolls: new ready, old unlisted, settled, drained, stopped", async () => {
  const { store, sidecars, cluster } = harness();
  store.put(deployment("roll"));
  await cluster.start();
  const old = await store.until((each) => each.pods().find(isReady));
  let release: () => void = () => undefined;
  sidecars.inFlight = new Promise((done) => (release = done));

  store.put(deployment("roll", { version: "v2" }));
  const going = await store.until((each) =>
    each.pods().find((pod) => pod.metadata.deletionTimestamp !== undefined),
  );
  assert.equal(going.metadata.name, old.metadata.name);
  const fresh = store.pods().filter(isReady);
  assert.equal(fresh.length, 1, "the new pod is ready before the old one goes");
  while (!sidecars.calls.includes(`drained default/${old.metadata.name}`)) await tick();
  assert.equal(await get(appAddress(old)), "v1", "the old app serves until it is drained");
  release();

  await store.until((each) => each.pods().length === 1);
  assert.deepEqual(store.pods().map(isReady), [true]);
  await assert.rejects(get(appAddress(old)));
  assert.equal(await get(appAddress(fresh[0]!)), "v2");
  const settledAt = sidecars.calls.indexOf(`settled ${going.metadata.resourceVersion ?? ""}`);
  const drainedAt = sidecars.calls.indexOf(`drained default/${old.metadata.name}`);
  assert.ok(settledAt >= 0 && settledAt < drainedAt, "settled before drained");
});

const tick = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

test("replicas go up and down, and a deleted Deployment leaves no pod", async () => {
  const { store, cluster } = harness();
  store.put(deployment("scale", { replicas: 1 }));
  await cluster.start();
  const first = await store.until((each) => each.pods().find(isReady));
  store.put(deployment("scale", { replicas: 2 }));
  await store.until((each) => each.pods().filter(isReady).length === 2);
  store.put(deployment("scale", { replicas: 1 }));
  await store.until((each) => each.pods().length === 1);
  assert.equal(store.pods()[0]?.metadata.name, first.metadata.name, "the older pod stays");
  store.remove("Deployment", "default", "scale");
  await store.until((each) => each.pods().length === 0);
});

test("a crashed app is started again, and meanwhile the pod is not ready", async () => {
  const { store, cluster } = harness();
  store.put(deployment("crash"));
  await cluster.start();
  const pod = await store.until((each) => each.pods().find(isReady));
  const seen: boolean[] = [];
  const unwatch = store.watch([], () => seen.push(store.pods().some(isReady)));
  await assert.rejects(get(appAddress(pod), "/crash"));
  const again = await store.until((each) =>
    each
      .pods()
      .find((one) => isReady(one) && statusOf(one).containerStatuses[0]?.restartCount === 1),
  );
  unwatch();
  assert.ok(seen.includes(false));
  assert.equal(await get(appAddress(again)), "v1");
});

/** The first pod, once its first container waits for this reason. */
function untilWaiting(
  store: FakeStore,
  reason: string,
): Promise<{ reason: string; message?: string }> {
  return store.until((each) => {
    const [pod] = each.pods();
    const waiting = pod === undefined ? undefined : waitingOf(pod);
    return waiting?.reason === reason && waiting;
  });
}

test("an image without a mapping waits and says what to do, while other pods run", async () => {
  const { store, cluster, reports } = harness();
  store.put(deployment("mystery", { command: ["no-such-program"] }));
  await cluster.start();
  const { message = "" } = await untilWaiting(store, "ImageNotMapped");
  assert.match(message, /example\.com\/test:1/);
  assert.match(message, /catalogue\/images\.yaml/);
  assert.match(message, /--image-map.*graylane\.io\/command/);
  assert.equal(reports.filter(({ code }) => code === "GL0501").length, 1);

  store.put(deployment("other"));
  await store.until((each) => each.pods().find(isReady));
});

test("the annotation graylane.io/command wins, and runs an unmodified Python server", async () => {
  const { store, cluster } = harness();
  const command = 'exec python3 -m http.server --bind "$HOST" "$PORT"';
  const annotations = { "graylane.io/command": command };
  store.put(deployment("python", { annotations, command: ["no-such-program"] }));
  await cluster.start();
  const pod = await store.until((each) => each.pods().find(isReady));
  assert.match(await get(appAddress(pod)), /Directory listing/);
  const log = cluster.readLog("default", pod.metadata.name, { follow: true });
  assert.ok(log !== null);
  let text = "";
  for await (const piece of log) {
    text += piece;
    if (text.includes("GET / HTTP/1.1")) break;
  }
});

test("an app that listens on the service's port is stopped with WrongBindAddress", async () => {
  const { store, cluster } = harness();
  const wildcard = 'require("node:net").createServer().listen(18471)';
  store.put(
    deployment("wildcard", {
      command: [process.execPath, "-e", wildcard],
      container: { ports: [{ containerPort: 18471 }] },
    }),
  );
  await cluster.start();
  const { message = "" } = await untilWaiting(store, "WrongBindAddress");
  assert.match(message, /wildcard address, port 18471/);
  assert.match(message, /read HOST and PORT/);
});

test("an app that finds the sidecar on its port is told so", async () => {
  const { store, cluster } = harness();
  const taken =
    'console.error("Error: listen EADDRINUSE: address already in use"); process.exit(1)';
  store.put(deployment("taken", { command: [process.execPath, "-e", taken] }));
  await cluster.start();
  const { message = "" } = await untilWaiting(store, "WrongBindAddress");
  assert.match(message, /EADDRINUSE/);
});

test("a sidecar that does not listen is shown, and another pod takes the place", async () => {
  const { store, cluster, sidecars, reports } = harness();
  sidecars.isBroken = true;
  store.put(deployment("lonely"));
  await cluster.start();
  const { message = "" } = await untilWaiting(store, "SidecarNotReady");
  assert.match(message, /address in use/);
  assert.ok(reports.some(({ code }) => code === "GL0510"));
  sidecars.isBroken = false;
  const first = store.pods()[0]?.metadata.name;
  const second = await store.until((each) => each.pods().find(isReady));
  assert.notEqual(second.metadata.name, first);
});

test("Pods that an earlier run left are removed at the start", async () => {
  const { store, cluster } = harness();
  const annotations = { "local.graylane.io/deployment": "gone" };
  const metadata = { name: "gone-1", namespace: "default", annotations };
  store.put({ apiVersion: "v1", kind: "Pod", metadata });
  store.put({ apiVersion: "v1", kind: "Pod", metadata: { name: "users", namespace: "default" } });
  await cluster.start();
  assert.deepEqual(
    store.pods().map((pod) => pod.metadata.name),
    ["users"],
  );
});

test("a Pod that somebody deletes is replaced", async () => {
  const { store, cluster } = harness();
  store.put(deployment("again"));
  await cluster.start();
  const first = await store.until((each) => each.pods().find(isReady));
  store.remove("Pod", "default", first.metadata.name);
  const second = await store.until((each) => each.pods().find(isReady));
  assert.notEqual(second.metadata.name, first.metadata.name);
  await assert.rejects(get(appAddress(first)));
});

test("no more pods than podsMax run, and the Deployment says so", async () => {
  const { store, cluster, reports } = harness({ limits: { podsMax: 1 } });
  store.put(
    deployment("many", { replicas: 3, command: ["sleep", "60"], container: { ports: [] } }),
  );
  await cluster.start();
  await store.until((each) => each.pods().find(isReady));
  assert.equal(store.pods().length, 1);
  assert.ok(reports.some(({ code }) => code === "GL0508"));
});

test("pods that another cluster adopts keep app, address and log", async () => {
  const apps = new AppKeeper();
  const first = harness({ apps });
  const { store } = first;
  const say = "let n = 0; setInterval(() => process.stdout.write('line ' + ++n + '\\n'), 20);";
  store.put(deployment("stays", { command: [process.execPath, "-e", `${say}${SERVER}`] }));
  await first.cluster.start();
  const before = await store.until((each) => each.pods().find(isReady));
  const handed = await first.cluster.letGo();
  open.delete(first);
  const second = harness({ apps, store, stateDir: first.stateDir });
  await second.cluster.adopt(JSON.parse(JSON.stringify(handed)) as typeof handed);
  await second.cluster.start();
  assert.deepEqual(store.pods().map(statusOf), [statusOf(before)]);
  await get(appAddress(before));

  const seen: string[] = [];
  const options = { follow: true, signal: AbortSignal.timeout(20_000) };
  const log = second.cluster.readLog("default", before.metadata.name, options) ?? [];
  for await (const text of log) {
    seen.push(text);
    if (seen.length > 3) break;
  }
  const lines = seen.join("").split("\n").slice(0, -1);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("line")),
    lines.filter((line) => line.startsWith("line")).map((_, at) => `line ${at + 1}`),
    "no line is lost, none comes twice",
  );

  process.kill(-(handed[0]?.containers[0]?.pid ?? 0), "SIGKILL");
  const after = await store.until((each) =>
    each.pods().find((pod) => statusOf(pod).containerStatuses[0]?.restartCount === 1),
  );
  assert.equal(after.metadata.name, before.metadata.name);
});

test("closing stops every app and leaves no Pod", async () => {
  const made = harness();
  const { store, cluster } = made;
  store.put(deployment("bye", { replicas: 2 }));
  await cluster.start();
  const [pod] = await store.until((each) => {
    const ready = each.pods().filter(isReady);
    return ready.length === 2 && ready;
  });
  await cluster.close();
  open.delete(made);
  assert.deepEqual(store.pods(), []);
  await assert.rejects(get(appAddress(pod!)));
});

test("closing does not wait for a pod that is being drained", async () => {
  const made = harness();
  const { store, sidecars, cluster } = made;
  store.put(deployment("busy"));
  await cluster.start();
  const pod = await store.until((each) => each.pods().find(isReady));
  sidecars.inFlight = new Promise(() => undefined);
  store.remove("Deployment", "default", "busy");
  while (!sidecars.calls.includes(`drained default/${pod.metadata.name}`)) await tick();
  await cluster.close();
  open.delete(made);
  assert.deepEqual(store.pods(), []);
});
