//! Puts a sidecar into each Pod that a text of manifests describes.

import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Document, Node, YAMLMap } from "yaml";
import { isEqual } from "../base/equal.ts";
import {
  INBOUND_PORTS_ANNOTATION,
  SIDECAR_ANNOTATION,
  SIDECAR_LABEL_OF_ISTIO,
} from "../compile/injected-sidecar.ts";
import type { Fault } from "../resources/fault.ts";
import { appVariables, CONTAINER_NAME, isSidecarPort } from "./inject-sidecar.ts";
import { podAnnotations, sidecarContainer } from "./inject-sidecar.ts";
import type { SidecarGiven } from "./inject-sidecar.ts";
import { ManifestNodes, pairOf } from "./manifest-nodes.ts";
import { YamlSplice } from "./yaml-splice.ts";

export interface Injected {
  readonly text: string;
  /** With errors the text is the one that was given. */
  readonly faults: readonly Fault[];
}

/** By group and kind: where the Pod is described. */
const TEMPLATES: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ["/Pod", []],
  ["apps/Deployment", ["spec", "template"]],
  ["apps/StatefulSet", ["spec", "template"]],
  ["apps/DaemonSet", ["spec", "template"]],
  ["apps/ReplicaSet", ["spec", "template"]],
  ["batch/Job", ["spec", "template"]],
  ["batch/CronJob", ["spec", "jobTemplate", "spec", "template"]],
]);
const NO_SIDECAR = `Or write the annotation ${SIDECAR_ANNOTATION}: "false" into its template.`;

interface Metadata {
  readonly annotations?: Readonly<Record<string, unknown>> | null;
  readonly labels?: Readonly<Record<string, unknown>> | null;
}

/** A text that `parseManifests` takes. `file` only names the place. */
export function injectInto(text: string, file: string, given: SidecarGiven): Injected {
  const lines = new LineCounter();
  const splice = new YamlSplice(text);
  const faults: Fault[] = [];
  const options = { lineCounter: lines, keepSourceTokens: true, logLevel: "silent" } as const;
  const documents = parseAllDocuments(text, { ...options, stringKeys: true, merge: true });
  for (const document of Array.isArray(documents) ? documents : []) {
    for (const object of objectsOf(document)) {
      const nodes = new ManifestNodes(object, { document, lines, file, faults });
      new Injection(nodes, splice, given).run();
    }
  }
  const isRefused = faults.some(({ severity }) => severity === "error");
  return { text: isRefused ? text : splice.result, faults };
}

/** Of lists their items. */
function objectsOf({ contents }: Document): YAMLMap[] {
  if (!isMap(contents)) return [];
  const kind = pairOf(contents, "kind")?.value;
  const list = pairOf(contents, "items")?.value;
  const isList = isScalar(kind) && String(kind.value).endsWith("List") && isSeq(list);
  return isList ? list.items.filter((one) => isMap(one)) : [contents];
}

class Injection {
  readonly #nodes: ManifestNodes;
  readonly #splice: YamlSplice;
  readonly #given: SidecarGiven;

  constructor(nodes: ManifestNodes, splice: YamlSplice, given: SidecarGiven) {
    this.#nodes = nodes;
    this.#splice = splice;
    this.#given = given;
  }

  /** Leaves alone what is no workload, and what is to have no sidecar. */
  run(): void {
    const nodes = this.#nodes;
    const template = this.#template();
    if (template === null || this.#isLeftOut(template)) return;
    const spec = nodes.map(template, "spec");
    const containers = spec && nodes.list(spec, "containers");
    if (spec === null || containers === null) return;
    const areTold = [this.#refuseNetwork(spec), ...containers.map((one) => this.#refuse(one))];
    if (areTold.includes(true)) return;
    const ports = containers.flatMap((one) => this.#portsOf(one).map(({ port }) => port));
    this.#annotate(template, podAnnotations(ports));
    this.#addSidecar(spec);
    for (const container of containers) this.#tell(container);
  }

  /** Null: it is no workload, or has none, of which there is a fault. */
  #template(): YAMLMap | null {
    const path = TEMPLATES.get(this.#nodes.groupAndKind);
    let template: YAMLMap | null = path === undefined ? null : this.#nodes.object;
    for (const step of path ?? []) template = template && this.#nodes.map(template, step);
    return template;
  }

  #isLeftOut(template: YAMLMap): boolean {
    const { metadata } = this.#nodes.valueOf(template) as { readonly metadata?: Metadata | null };
    const { annotations, labels } = metadata ?? {};
    const said =
      annotations?.[SIDECAR_ANNOTATION] ??
      labels?.[SIDECAR_LABEL_OF_ISTIO] ??
      annotations?.[SIDECAR_LABEL_OF_ISTIO];
    return String(said) === "false";
  }

  #refuseNetwork(spec: YAMLMap): boolean {
    const network = pairOf(spec, "hostNetwork");
    if (!isScalar(network?.value) || network.value.value !== true) return false;
    const what =
      "the Pod uses the network of its node, where sidecars would take each other's ports";
    this.#nodes.refuse(network.key as Node, what, `Leave hostNetwork out. ${NO_SIDECAR}`);
    return true;
  }

  #refuse(container: YAMLMap): boolean {
    const taken = this.#portsOf(container).filter(({ port }) => isSidecarPort(port));
    for (const { port, node } of taken) {
      const what = `the port ${port} is the sidecar's`;
      this.#nodes.refuse(node, what, `Let the app listen on another port. ${NO_SIDECAR}`);
    }
    const name = pairOf(container, "name")?.value;
    if (!isScalar(name) || name.value !== CONTAINER_NAME) return taken.length > 0;
    const what = `a container is called ${CONTAINER_NAME}, which is the sidecar's name`;
    this.#nodes.refuse(name, what, `Call it otherwise. ${NO_SIDECAR}`);
    return true;
  }

  /** Those over TCP. */
  #portsOf(container: YAMLMap): { readonly port: number; readonly node: Node }[] {
    const list = pairOf(container, "ports")?.value;
    const ports = isSeq(list) ? list.items.filter((one) => isMap(one)) : [];
    return ports.flatMap((each) => {
      const { containerPort: port, protocol = "TCP" } = this.#nodes.valueOf(each) as {
        readonly containerPort?: unknown;
        readonly protocol?: unknown;
      };
      if (typeof port !== "number" || protocol !== "TCP") return [];
      return [{ port, node: each }];
    });
  }

  #annotate(template: YAMLMap, wanted: Readonly<Record<string, string>>): void {
    const metadata = this.#nodes.optionalMap(template, "metadata");
    if (metadata === null) return;
    if (metadata === "absent") {
      this.#fill(template, "metadata", { annotations: wanted });
      return;
    }
    const annotations = this.#nodes.optionalMap(metadata, "annotations");
    if (annotations === null) return;
    if (annotations === "absent") {
      this.#fill(metadata, "annotations", wanted);
      return;
    }
    this.#setTexts(annotations, wanted);
    const old = pairOf(annotations, INBOUND_PORTS_ANNOTATION)?.value;
    const isOld = !(INBOUND_PORTS_ANNOTATION in wanted) && isScalar(old) && old.value !== "";
    // Of ports that are no more.
    if (isOld) this.#splice.replace(old, "");
  }

  #setTexts(map: YAMLMap, wanted: Readonly<Record<string, string>>): void {
    const missing: Record<string, string> = {};
    for (const [name, value] of Object.entries(wanted)) {
      const node = pairOf(map, name)?.value;
      if (!isScalar(node)) missing[name] = value;
      else if (node.value !== value) this.#splice.replace(node, value);
    }
    if (Object.keys(missing).length > 0) this.#splice.addPairs(map, missing);
  }

  /** Behind the init containers: they call as they did. */
  #addSidecar(spec: YAMLMap): void {
    const sidecar = sidecarContainer(this.#given);
    const list = this.#nodes.optionalList(spec, "initContainers");
    if (list === null) return;
    if (list === "absent") {
      this.#fill(spec, "initContainers", [sidecar]);
      return;
    }
    const before = list.items.find((one) => {
      const name = isMap(one) ? pairOf(one, "name")?.value : null;
      return isScalar(name) && name.value === CONTAINER_NAME;
    });
    if (before === undefined) this.#splice.addItems(list, [sidecar]);
    else if (!isEqual(this.#nodes.valueOf(before as Node), sidecar)) {
      this.#splice.replace(before as Node, sidecar);
    }
  }

  #tell(container: YAMLMap): void {
    const wanted = Object.entries(appVariables(this.#given)).map(([name, value]) => {
      return { name, value };
    });
    const list = this.#nodes.optionalList(container, "env");
    if (list === null) return;
    if (list === "absent") {
      this.#fill(container, "env", wanted);
      return;
    }
    const missing = wanted.filter((one) => {
      const own = list.items.find((item) => isMap(item) && this.#nameOf(item) === one.name);
      if (own === undefined) return true;
      if (!isEqual(this.#nodes.valueOf(own as Node), one)) this.#warn(container, own as Node, one);
      return false;
    });
    if (missing.length > 0) this.#splice.addItems(list, missing);
  }

  #warn(container: YAMLMap, own: Node, { name, value }: { name: string; value: string }): void {
    const what = `the container ${this.#nameOf(container)} keeps its own ${name}`;
    const why = "its calls may not go by its sidecar";
    this.#nodes.warn(own, `${what}: ${why}`, `Take it away, or write ${value} there.`);
  }

  #nameOf(item: YAMLMap): string {
    const name = pairOf(item, "name")?.value;
    return isScalar(name) ? String(name.value) : "";
  }

  /** A key that is not there yet, or has no members. */
  #fill(map: YAMLMap, key: string, value: unknown): void {
    const pair = pairOf(map, key);
    if (pair === null) this.#splice.addPairs(map, { [key]: value });
    else this.#splice.fill(pair, value);
  }
}
