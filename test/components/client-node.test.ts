//! Kubernetes' own client for Node, and its informers, against the embedded API.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  V1ConfigMap,
  V1ObjectMeta,
} from "@kubernetes/client-node";
import type { KubernetesListObject, KubernetesObject } from "@kubernetes/client-node";
import { delay, systemClock } from "../../src/base/clock.ts";
import { Graylane } from "../support/graylane.ts";

const NAMESPACE = "default";
const POLL_MS = 20;
const DEADLINE_MS = 30_000;

let graylane: Graylane;
let config: KubeConfig;
let core: CoreV1Api;
const informers: { stop(): Promise<void> }[] = [];

before(async () => {
  graylane = await Graylane.start({ files: ["examples/asm-hash-tagging/gateway.yaml"] });
  config = new KubeConfig();
  config.loadFromFile(join(graylane.stateDirectory, "kubeconfig"));
  core = config.makeApiClient(CoreV1Api);
});

after(async () => {
  for (const informer of informers) await informer.stop();
  await graylane.stop();
});

/** What an informer was told, a line each. */
async function follow<T extends KubernetesObject>(
  path: string,
  list: () => Promise<KubernetesListObject<T>>,
  valueOf: (object: T) => string,
): Promise<string[]> {
  const told: string[] = [];
  const informer = makeInformer<T>(config, path, list);
  for (const verb of ["add", "update", "delete"] as const) {
    informer.on(verb, (object) => told.push(`${verb} ${object.metadata?.name} ${valueOf(object)}`));
  }
  informer.on("error", (error: unknown) => told.push(`error ${String(error)}`));
  informers.push(informer);
  await informer.start();
  return told;
}

async function untilTold(told: readonly string[], wanted: readonly string[]): Promise<void> {
  const deadline = systemClock.monotonicMs() + DEADLINE_MS;
  while (told.length < wanted.length && systemClock.monotonicMs() < deadline) {
    await delay(systemClock, POLL_MS);
  }
  assert.deepEqual(told, wanted);
}

function configMap(name: string, value: string): { namespace: string; body: V1ConfigMap } {
  const metadata = Object.assign(new V1ObjectMeta(), { name });
  return {
    namespace: NAMESPACE,
    body: Object.assign(new V1ConfigMap(), { metadata, data: { value } }),
  };
}

test("an informer sees what was there, what comes, changes and goes", async () => {
  await core.createNamespacedConfigMap(configMap("before", "1"));
  const told = await follow(
    `/api/v1/namespaces/${NAMESPACE}/configmaps`,
    () => core.listNamespacedConfigMap({ namespace: NAMESPACE }),
    ({ data }) => data?.["value"] ?? "",
  );
  await untilTold(told, ["add before 1"]);
  await core.createNamespacedConfigMap(configMap("later", "1"));
  await core.replaceNamespacedConfigMap({ name: "later", ...configMap("later", "2") });
  const patch = { namespace: NAMESPACE, name: "later", body: { data: { value: "3" } } };
  await core.patchNamespacedConfigMap(
    patch,
    setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
  );
  await core.deleteNamespacedConfigMap({ namespace: NAMESPACE, name: "before" });
  const lines = ["add before 1", "add later 1", "update later 2", "update later 3"];
  await untilTold(told, [...lines, "delete before 1"]);
});

test("an informer follows a kind of ours", async () => {
  const objects = config.makeApiClient(CustomObjectsApi);
  const kind = { group: "graylane.io", version: "v1alpha1", plural: "lanegroups" };
  const place = { ...kind, namespace: NAMESPACE };
  type Group = KubernetesObject & { spec: { services: { name: string }[] } };
  const told = await follow<Group>(
    `/apis/graylane.io/v1alpha1/namespaces/${NAMESPACE}/lanegroups`,
    () => objects.listNamespacedCustomObject(place) as Promise<KubernetesListObject<Group>>,
    ({ spec }) => spec.services.map(({ name }) => name).join(),
  );
  const body = {
    apiVersion: "graylane.io/v1alpha1",
    kind: "LaneGroup",
    metadata: { name: "shop" },
    spec: {
      entry: { gateways: [{ name: "gw" }] },
      services: [{ name: "cart" }],
      context: { routeHeader: "x-lane" },
    },
  };
  await objects.createNamespacedCustomObject({ ...place, body });
  await untilAny(told, "add shop cart");
  await objects.deleteNamespacedCustomObject({ ...place, name: "shop" });
  await untilAny(told, "delete shop cart");
});

/** Beside updates of its status, which come when they come. */
async function untilAny(told: readonly string[], wanted: string): Promise<void> {
  const deadline = systemClock.monotonicMs() + DEADLINE_MS;
  while (!told.includes(wanted) && systemClock.monotonicMs() < deadline) {
    await delay(systemClock, POLL_MS);
  }
  assert.ok(told.includes(wanted), `${wanted} is not in ${told.join("; ")}`);
}

test("what the API refuses is an error with its reason", async () => {
  await assert.rejects(core.readNamespacedConfigMap({ namespace: NAMESPACE, name: "none" }), {
    code: 404,
  });
});
