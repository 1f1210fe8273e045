//! What a command that looks ahead compares: the objects as they are, and as a change makes them.

import type { ApiClient } from "../api/client.ts";
import type { CompileResult } from "../compile/compile.ts";
import { refOf } from "../resources/object.ts";
import type { Resource } from "../resources/object.ts";
import { apiVersionOf, kindByApiVersion, KINDS } from "../resources/registry.ts";
import type { KindInfo } from "../resources/registry.ts";
import { connect } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";

/** On these depends who is in a share. */
const SHARE_KINDS: readonly (readonly [apiVersion: string, kind: string])[] = [
  ["networking.istio.io/v1", "Gateway"],
  ["networking.istio.io/v1", "VirtualService"],
  ["networking.k8s.io/v1", "Ingress"],
  ["v1", "Service"],
  ["graylane.io/v1alpha1", "LaneGroup"],
  ["graylane.io/v1alpha1", "Lane"],
];
/** What decides no request's way, or is nobody's business. */
const UNASKED_KINDS: ReadonlySet<string> = new Set([
  ...["Secret", "ConfigMap", "Namespace"],
  ...["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"],
]);

export function shareKinds(): KindInfo[] {
  return SHARE_KINDS.flatMap(([apiVersion, kind]) => kindByApiVersion(apiVersion, kind) ?? []);
}

/** Every kind on which a request's way depends. */
export function routingKinds(): KindInfo[] {
  return KINDS.filter(({ kind }) => !UNASKED_KINDS.has(kind));
}

/** The objects of `files`; without any the server's, of these kinds. */
export async function objectsBefore(
  context: Context,
  files: readonly string[],
  kinds: readonly KindInfo[],
): Promise<readonly Resource[]> {
  if (files.length > 0) return (await readManifests(context, files)).resources;
  return listAll(await connect(context), kinds);
}

async function listAll(client: ApiClient, kinds: readonly KindInfo[]): Promise<Resource[]> {
  const lists = kinds.map(async (info) => {
    const { group, plural, namespaced } = info;
    const apiVersion = apiVersionOf(info);
    const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
    return (await client.list({ group, version, plural, namespaced })).items;
  });
  return (await Promise.all(lists)).flat();
}

/** Files without a status are dealt as for the first time: the change builds on that. */
export function withAllocations(before: readonly Resource[], now: CompileResult): Resource[] {
  return before.map((resource) => {
    const { kind, namespace, name } = refOf(resource);
    const allocation =
      kind === "LaneGroup" ? now.allocations.get(`${namespace}/${name}`) : undefined;
    return allocation === undefined ? resource : { ...resource, status: { allocation } };
  });
}

/** What `apply` would make of it: a status stays, since it has its own writers. */
export function overlay(before: readonly Resource[], change: readonly Resource[]): Resource[] {
  const all = new Map(before.map((resource) => [textOf(resource), resource]));
  for (const resource of change) {
    const key = textOf(resource);
    const status = all.get(key)?.status;
    all.set(key, status === undefined ? resource : { ...resource, status });
  }
  return [...all.values()];
}

function textOf(resource: Resource): string {
  const { kind, namespace, name } = refOf(resource);
  return `${resource.apiVersion.split("/")[0] ?? ""} ${kind} ${namespace}/${name}`;
}
