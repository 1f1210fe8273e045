import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import { systemClock } from "../base/clock.ts";
import { SeededPrng } from "../base/prng.ts";
import { loadImageMap } from "../resources/image-map.ts";
import type { Resource } from "../resources/object.ts";
import { FakeSidecars, FakeStore } from "./fakes.ts";
import { LocalCluster } from "./local-cluster.ts";
import { OUTBOUND_ANNOTATION, PORTS_ANNOTATION } from "./pod-object.ts";

const stateDir = mkdtempSync(join(tmpdir(), "graylane-sample-"));
const store = new FakeStore();
const proxies: http.Server[] = [];
/** Header names of each call that an app made, by the host it called. */
const called = new Map<string, readonly string[]>();

/** Just enough of a sidecar: forwards a call by the name of its host to a ready pod's app. */
class ForwardingSidecars extends FakeSidecars {
  override async sidecarReady(pod: string): Promise<void> {
    const [namespace = "", name = ""] = pod.split("/");
    const object = store.get("Pod", namespace, name);
    const outbound = object?.metadata.annotations?.[OUTBOUND_ANNOTATION] ?? "";
    const [address, port] = outbound.split(":");
    const proxy = http.createServer(forward);
    proxies.push(proxy);
    await new Promise<void>((done) => proxy.listen(Number(port), address, done));
  }
}

function forward(request: http.IncomingMessage, response: http.ServerResponse): void {
  const { hostname: app, pathname } = new URL(request.url ?? "");
  called.set(app, Object.keys(request.headers));
  const pod = store.pods().find((each) => isReady(each) && each.metadata.labels?.["app"] === app);
  if (pod === undefined) {
    response.writeHead(503).end(`no endpoint of ${app}`);
    return;
  }
  const { headers } = request;
  http.get(`http://${appAddress(pod)}${pathname}`, { headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502);
    answer.pipe(response);
  });
}

function isReady(pod: Resource): boolean {
  const { conditions } = pod.status as { conditions: readonly { type: string; status: string }[] };
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

function appAddress(pod: Resource): string {
  const ports = JSON.parse(pod.metadata.annotations?.[PORTS_ANNOTATION] ?? "{}") as object;
  return String(Object.values(ports)[0]);
}

/** The agent as it is built, or else compiled here. */
function agentFile(): string {
  const source = fileURLToPath(new URL("../agent/agent.ts", import.meta.url));
  if (import.meta.url.endsWith(".js")) return source.replace(/\.ts$/, ".js");
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(readFileSync(source, "utf8"), {
    compilerOptions: options,
  });
  const file = join(stateDir, "agent.mjs");
  writeFileSync(file, outputText);
  return file;
}

let cluster: LocalCluster;

before(async () => {
  cluster = new LocalCluster({
    store,
    sidecars: new ForwardingSidecars(),
    clock: systemClock,
    prng: new SeededPrng(process.pid),
    images: loadImageMap([resolve("catalogue/images.yaml")]).map,
    stateDir,
    baseDir: stateDir,
    agentUrl: pathToFileURL(agentFile()).href,
    hostEnv: process.env,
    report: () => undefined,
  });
  await cluster.start();
});

after(async () => {
  await cluster.close();
  for (const proxy of proxies) {
    proxy.close();
    proxy.closeAllConnections();
  }
  rmSync(stateDir, { recursive: true, force: true });
});

interface AppOptions {
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly command?: string;
}

/** Applies a Deployment with one pod, labelled `app: <app>`; resolves when the pod is ready. */
async function deploy(app: string, options: AppOptions): Promise<Resource> {
  const env = Object.entries(options.env ?? {}).map(([name, value]) => ({ name, value }));
  const annotations =
    options.command === undefined ? {} : { "graylane.io/command": options.command };
  const image = options.image ?? "example.com/none:1";
  const containers = [{ name: "main", image, env, ports: [{ containerPort: 8000 }] }];
  store.put({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: app, namespace: "default" },
    spec: {
      template: {
        metadata: { labels: { app, ...options.labels }, annotations },
        spec: { containers },
      },
    },
  });
  return store.until((each) =>
    each.pods().find((pod) => pod.metadata.labels?.["app"] === app && isReady(pod)),
  );
}

async function call(pod: Resource, headers: Readonly<Record<string, string>>): Promise<Response> {
  return fetch(`http://${appAddress(pod)}/`, { headers });
}

const GO_SAMPLE = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";
const SPRING_SAMPLE = "registry.cn-hangzhou.aliyuncs.com/mse-demo-hz/spring-cloud";

test("the mock services answer as the original, and forward x-user-id alone", async () => {
  const env = { version: "v1" };
  await deploy("mockb", { image: GO_SAMPLE, env: { ...env, app: "mockb" } });
  const upstream = { app: "mocka", upstream_url: "http://mockb:8000/" };
  const mocka = await deploy("mocka", { image: GO_SAMPLE, env: { ...env, ...upstream } });
  const headers = { "x-user-id": "jason", "x-asm-prefer-tag": "s2" };
  const answer = await call(mocka, headers);
  const pattern =
    /^-> mocka\(version: v1, ip: 127\.10[.\d]+\)-> mockb\(version: v1, ip: 127\.10[.\d]+\)$/;
  assert.match(await answer.text(), pattern);
  assert.ok(called.get("mockb")?.includes("x-user-id") === true);
  assert.equal(called.get("mockb")?.includes("x-asm-prefer-tag"), false);
});

test("a mock service whose upstream fails answers 502 and says why", async () => {
  const env = { app: "mockd", version: "v1", upstream_url: "http://nowhere:8000/" };
  const answer = await call(await deploy("mockd", { image: GO_SAMPLE, env }), {});
  assert.equal(answer.status, 502);
  assert.match(
    await answer.text(),
    /mockd\(.*http:\/\/nowhere:8000\/ failed: no endpoint of nowhere/,
  );
});

test("the order chain answers as the original, gray by its label; forwards x-mse-tag", async () => {
  const gray = { "alicloud.service.tag": "gray" };
  await deploy("sc-c", { image: `${SPRING_SAMPLE}-c:1`, labels: gray });
  await deploy("sc-b", { image: `${SPRING_SAMPLE}-b:1` });
  const a = await deploy("sc-a", { image: `${SPRING_SAMPLE}-a:1`, labels: gray });
  const answer = await call(a, { "x-mse-tag": "gray", canary: "gray" });
  const pattern = /^Agray\[127[.\d]+\]\[config=base\] -> B\[127[.\d]+\] -> Cgray\[127[.\d]+\]$/;
  assert.match(await answer.text(), pattern);
  for (const host of ["sc-b", "sc-c"]) {
    assert.ok(called.get(host)?.includes("x-mse-tag") === true);
    assert.equal(called.get(host)?.includes("canary"), false);
  }
});

test("an unmodified curl and a Python client call through their sidecars", async () => {
  await deploy("target", { image: GO_SAMPLE, env: { app: "target", version: "v9" } });
  const python =
    "import urllib.request; print(urllib.request.urlopen('http://target:8000/').read().decode())";
  for (const client of ["curl -sS http://target:8000/", `python3 -c "${python}"`]) {
    const name = client.split(" ")[0] ?? "";
    store.put({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace: "default" },
      spec: {
        template: {
          metadata: {
            labels: { app: name },
            annotations: { "graylane.io/command": `${client}; exec sleep 60` },
          },
          spec: { containers: [{ name: "main", image: "none" }] },
        },
      },
    });
    const pod = await store.until((each) =>
      each.pods().find((one) => one.metadata.labels?.["app"] === name && isReady(one)),
    );
    let text = "";
    const log = cluster.readLog("default", pod.metadata.name, { follow: true }) ?? [];
    for await (const piece of log) {
      text += piece;
      if (text.includes("target(version: v9")) break;
    }
  }
});
