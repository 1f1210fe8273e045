//! Writes objects through the API as a user would: create, or replace what exists.

import { ApiError } from "../../src/api/client.ts";
import type { ApiClient } from "../../src/api/client.ts";
import type { ApiKind } from "../../src/api/types.ts";
import type { Resource } from "../../src/resources/object.ts";
import { kindByApiVersion } from "../../src/resources/registry.ts";

export function apiKindOf({ apiVersion, kind }: Resource): ApiKind {
  const info = kindByApiVersion(apiVersion, kind);
  if (info === undefined) throw new Error(`no kind ${apiVersion} ${kind}`);
  const version = apiVersion.split("/").at(-1) ?? apiVersion;
  return { group: info.group, version, plural: info.plural, namespaced: info.namespaced };
}

/** Resolves to the store's revision of the object, once it is durable. */
export async function put(api: ApiClient, resource: Resource): Promise<number> {
  const kind = apiKindOf(resource);
  try {
    const { resource: written } = await api.update(kind, resource);
    return Number(written.metadata.resourceVersion);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== "NotFound") throw error;
  }
  const { resource: written } = await api.create(kind, resource);
  return Number(written.metadata.resourceVersion);
}

export async function remove(api: ApiClient, resource: Resource): Promise<void> {
  const { namespace = "default", name } = resource.metadata;
  await api.delete(apiKindOf(resource), { namespace, name });
}
