//! The registries that McpBridges name, each followed as long as some McpBridge names it.

import type { Clock } from "../../base/clock.ts";
import { registryKey } from "../../compile/registry.ts";
import type { RegistryAnswer, RegistryAnswers } from "../../compile/registry.ts";
import { keyOf, namespaceOf } from "../../compile/resource-index.ts";
import { GRPC_PORT_OFFSET, isNacos } from "../../resources/kinds/mcp-bridge.ts";
import type { McpBridge, RegistrySpec } from "../../resources/kinds/mcp-bridge.ts";
import type { Secret } from "../../resources/kinds/secret.ts";
import type { Resource } from "../../resources/object.ts";
import { NacosRegistry } from "./nacos-registry.ts";
import type { RegistrySettings } from "./nacos-registry.ts";

export interface RegistriesOptions {
  readonly clock: Clock;
  /** What some registry says has changed. */
  readonly onChange: () => void;
}

/** A registry that is new is waited for this long at most. */
export const FIRST_WAIT_MS = 2_000;
/** Of all McpBridges together; further ones, by name, are not asked. */
export const REGISTRIES_MAX = 64;

interface Running {
  /** What it was started with. */
  readonly text: string;
  readonly registry: NacosRegistry;
}

/** What is to be followed, or why it cannot be. */
type Wanted = RegistrySettings | string;

export class Registries {
  readonly #options: RegistriesOptions;
  readonly #running = new Map<string, Running>();
  #faults: ReadonlyMap<string, string> = new Map();
  #version = 0;
  #answers: RegistryAnswers = { version: "0", answers: new Map() };
  #isStopped = false;

  constructor(options: RegistriesOptions) {
    this.#options = options;
  }

  /** What was said last. */
  get answers(): RegistryAnswers {
    return this.#answers;
  }

  /** What the objects' registries say; others are left. New ones are waited for. Never rejects. */
  async resolve(resources: readonly Resource[]): Promise<RegistryAnswers> {
    if (this.#isStopped) return this.#answers;
    const wanted = wantedOf(resources);
    for (const [key, { text, registry }] of this.#running) {
      if (textOf(wanted.get(key)) === text) continue;
      registry.stop();
      this.#running.delete(key);
      this.#version += 1;
    }
    const fresh: Promise<void>[] = [];
    const faults = new Map<string, string>();
    for (const [key, settings] of wanted) {
      if (typeof settings === "string") faults.set(key, settings);
      else if (!this.#running.has(key)) fresh.push(this.#start(key, settings));
    }
    if (JSON.stringify([...faults]) !== JSON.stringify([...this.#faults])) this.#version += 1;
    this.#faults = faults;
    const named = namedHosts(resources);
    for (const { registry } of this.#running.values()) registry.name(named);
    if (fresh.length > 0) await this.#awaitFirst(fresh);
    return this.#collect();
  }

  stop(): void {
    this.#isStopped = true;
    for (const { registry } of this.#running.values()) registry.stop();
    this.#running.clear();
  }

  #start(key: string, settings: RegistrySettings): Promise<void> {
    const registry = new NacosRegistry({
      ...{ settings, clock: this.#options.clock },
      onChange: () => {
        if (this.#running.get(key)?.registry !== registry) return;
        this.#version += 1;
        this.#options.onChange();
      },
    });
    this.#running.set(key, { text: textOf(settings), registry });
    this.#version += 1;
    return registry.first;
  }

  #awaitFirst(fresh: readonly Promise<void>[]): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(FIRST_WAIT_MS, resolve);
      void Promise.all(fresh).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #collect(): RegistryAnswers {
    const version = String(this.#version);
    if (this.#answers.version === version) return this.#answers;
    const answers = new Map<string, RegistryAnswer>();
    for (const [key, { registry }] of this.#running) answers.set(key, registry.answer);
    for (const [key, fault] of this.#faults) {
      answers.set(key, { services: [], fault, heardAt: "", leftOut: [] });
    }
    this.#answers = { version, answers };
    return this.#answers;
  }
}

const NAMING_KINDS: ReadonlySet<string> = new Set([
  ...["VirtualService", "Ingress", "LaneGroup", "DestinationRule"],
]);
const HOST = /[^"\s/:]+\.nacos(?=["\s:])/gi;
/** By object: each is read once. */
const hostsIn = new WeakMap<Resource, readonly string[]>();

/** Hosts of registries that objects name, lower-case. */
function namedHosts(resources: readonly Resource[]): ReadonlySet<string> {
  const named = new Set<string>();
  for (const resource of resources) {
    if (!NAMING_KINDS.has(resource.kind)) continue;
    let hosts = hostsIn.get(resource);
    if (hosts === undefined) {
      const text = JSON.stringify([resource.spec, resource.metadata.annotations]);
      hosts = (text.match(HOST) ?? []).map((host) => host.toLowerCase());
      hostsIn.set(resource, hosts);
    }
    for (const host of hosts) named.add(host);
  }
  return named;
}

function textOf(wanted: Wanted | undefined): string {
  return JSON.stringify(wanted ?? "");
}

/** By `registryKey`. */
function wantedOf(resources: readonly Resource[]): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  const bridges = resources.filter(isBridge).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  for (const bridge of bridges) {
    for (const registry of (bridge.spec.registries ?? []).filter(isNacos)) {
      const isTooMany = wanted.size >= REGISTRIES_MAX;
      const settings = isTooMany
        ? `more than ${REGISTRIES_MAX} registries`
        : settingsOf(registry, bridge, resources);
      wanted.set(registryKey(bridge, registry), settings);
    }
  }
  return wanted;
}

function isBridge(resource: Resource): resource is McpBridge {
  const { apiVersion, kind } = resource;
  return kind === "McpBridge" && apiVersion.startsWith("networking.higress.io/");
}

function settingsOf(
  { domain, port, nacosNamespaceId = "", nacosGroups, authSecretName }: RegistrySpec,
  bridge: McpBridge,
  resources: readonly Resource[],
): Wanted {
  const user = authSecretName === undefined ? null : userOf(authSecretName, bridge, resources);
  if (typeof user === "string") return user;
  return {
    ...{ host: domain, port, grpcPort: port + GRPC_PORT_OFFSET, user, groups: nacosGroups },
    // The namespace `public` has an empty id.
    namespace: nacosNamespaceId === "public" ? "" : nacosNamespaceId,
  };
}

function userOf(
  name: string,
  bridge: McpBridge,
  resources: readonly Resource[],
): RegistrySettings["user"] | string {
  const namespace = namespaceOf(bridge);
  const secret = resources.find(
    (one): one is Secret =>
      one.kind === "Secret" && one.metadata.name === name && namespaceOf(one) === namespace,
  );
  if (secret === undefined) return `there is no Secret ${namespace}/${name}`;
  const [user, password] = ["nacosUsername", "nacosPassword"].map((key) => valueOf(secret, key));
  if (user === undefined || password === undefined) {
    return `the Secret ${namespace}/${name} has no nacosUsername and nacosPassword`;
  }
  return { name: user, password };
}

function valueOf({ data = {}, stringData = {} }: Secret, key: string): string | undefined {
  const plain = stringData[key];
  if (plain !== undefined) return plain;
  const encoded = data[key];
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
}
