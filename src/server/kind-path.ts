//! From a path of the API to the kind, version and key that it names; and back into an answer.

import { kindText, type StoreKey } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import { apiVersionOf, kindByResource, type KindInfo } from "../resources/registry.ts";
import { parameter, type Call } from "./call.ts";
import { notFound } from "./status.ts";

export interface KindPath {
  readonly info: KindInfo;
  /** The version in the path: answers carry it, whatever version was written. */
  readonly version: string;
  /** `null` where the path names none. */
  readonly namespace: string | null;
}

/** Throws 404 for a kind or version that is not served, or is not served in this scope. */
export function kindPathOf(call: Call): KindPath {
  const [group, version, plural] = ["group", "version", "plural"].map((n) => parameter(call, n));
  const info = kindByResource(group ?? "", plural ?? "");
  if (info === undefined || version === undefined || !info.versions.includes(version)) {
    throw notFound(`the resource ${kindText({ group: group ?? "", plural: plural ?? "" })}`);
  }
  const namespace = call.parameters.get("namespace") ?? null;
  if (namespace !== null && !info.namespaced) {
    throw notFound(`${info.kind} is cluster-scoped: its path has no namespace; such a path`);
  }
  return { info, version, namespace };
}

/** The key of one object. Throws 404 when the path lacks the namespace that the kind has. */
export function keyOfPath(path: KindPath, name: string): StoreKey {
  const { info, namespace } = path;
  if (info.namespaced && namespace === null) {
    throw notFound(`${info.kind} is namespaced: name its namespace in the path; such a path`);
  }
  return { group: info.group, plural: info.plural, namespace: namespace ?? "", name };
}

/** The stored object as the path's version has it. */
export function present(path: Pick<KindPath, "info" | "version">, resource: Resource): Resource {
  return { ...resource, apiVersion: apiVersionOf(path.info, path.version), kind: path.info.kind };
}
