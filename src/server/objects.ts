//! The verbs on objects: get, list, create, update, status, delete.

import { keyText, type ConditionalOptions, type WriteResult } from "../controlplane/store/store.ts";
import type { Fault } from "../resources/fault.ts";
import type { ObjectMeta, Resource } from "../resources/object.ts";
import { apiVersionOf } from "../resources/registry.ts";
import { validateResource } from "../resources/validate.ts";
import { isDryRun, parameter, readBody, sendJson, setWarnings, type Call } from "./call.ts";
import { keyOfPath, kindPathOf, present, type KindPath } from "./kind-path.ts";
import { selectionOf } from "./selection.ts";
import {
  badRequest,
  faultText,
  invalid,
  notFound,
  refuse,
  success,
  writeRefused,
} from "./status.ts";
import { streamWatch } from "./watch-stream.ts";

type Json = Record<string, unknown>;

export function getObject(call: Call): void {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const resource = call.dependencies.store.get(key);
  if (resource !== undefined) {
    sendJson(call, 200, present(path, resource));
    return;
  }
  const name = keyText(key);
  const damage = call.dependencies.store.damaged().find((record) => record.key === name);
  if (damage === undefined) throw notFound(name);
  const message = `the record of ${name} is damaged: ${damage.reason}; apply it again or delete it`;
  throw refuse(500, "InternalError", message);
}

/** `limit` is ignored, as Kubernetes allows: every list is whole, and there is no next page. */
export function listObjects(call: Call): void {
  const path = kindPathOf(call);
  const selection = selectionOf(call, path);
  if (["1", "true"].includes(call.query.get("watch") ?? "")) {
    streamWatch(call, path, selection);
    return;
  }
  if (call.query.has("continue")) {
    throw refuse(410, "Expired", "lists are not paged here: list again without continue");
  }
  const { items, revision } = call.dependencies.store.list(selection.filter);
  const damaged = call.dependencies.store.damaged().map((record) => record.key);
  const prefix = keyText({ ...path.info, namespace: path.namespace ?? "", name: "" });
  const missing = damaged.filter((key) => key.startsWith(prefix.replace(/\/+$/, "/")));
  setWarnings(
    call,
    missing.map((key) => `${key} is damaged and left out; apply it again or delete it`),
  );
  sendJson(call, 200, {
    kind: `${path.info.kind}List`,
    apiVersion: apiVersionOf(path.info, path.version),
    metadata: { resourceVersion: String(revision) },
    items: items.filter((item) => selection.matches(item)).map((item) => present(path, item)),
  });
}

export async function createObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const body = await readObject(call, path);
  const metadata = metadataOf(body);
  const key = keyOfPath(path, typeof metadata["name"] === "string" ? metadata["name"] : "");
  if (metadata["resourceVersion"] !== undefined && metadata["resourceVersion"] !== "") {
    throw badRequest("metadata.resourceVersion must not be set on an object to be created");
  }
  const own = withoutOwn({ ...metadata, ...namespaceOf(path) }, null);
  const resource = validated(call, path, { ...body, metadata: own });
  const dryRun = isDryRun(call);
  const result = await call.dependencies.store.create(resource, { dryRun });
  answer(call, path, { result, code: 201, what: keyText(key) });
}

export async function updateObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = await readObject(call, path);
  const metadata = metadataOf(body);
  checkName(metadata, key.name);
  const existing = call.dependencies.store.get(key);
  const own = withoutOwn({ ...metadata, ...namespaceOf(path) }, existing ?? null);
  const resource = validated(call, path, { ...body, metadata: own });
  const options = { ...conditionsOf(metadata), dryRun: isDryRun(call) };
  const result = await call.dependencies.store.update(resource, options);
  answer(call, path, { result, code: 200, what: keyText(key) });
}

/** Takes only `status` from the body. It is the controllers' word: no schema binds it. */
export async function updateObjectStatus(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = await readObject(call, path);
  const metadata = metadataOf(body);
  checkName(metadata, key.name);
  const options = { ...conditionsOf(metadata), dryRun: isDryRun(call) };
  const result = await call.dependencies.store.updateStatus(key, body["status"], options);
  answer(call, path, { result, code: 200, what: keyText(key) });
}

export async function deleteObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  const conditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  const options = { ...conditionsOf(conditions), dryRun };
  const result = await call.dependencies.store.delete(key, options);
  if (!result.ok) throw writeRefused(result);
  const { group, kind } = path.info;
  const { uid } = result.resource.metadata;
  sendJson(
    call,
    200,
    success({ name: key.name, group, kind, ...(uid === undefined ? {} : { uid }) }),
  );
}

function answer(
  call: Call,
  path: KindPath,
  outcome: { readonly result: WriteResult; readonly code: number; readonly what: string },
): void {
  const { result, code } = outcome;
  if (!result.ok) throw writeRefused(result);
  sendJson(call, code, present(path, result.resource));
}

/** Throws 422 with all the faults; warnings go into headers. */
function validated(call: Call, path: KindPath, value: Json): Resource {
  // The status has its own path, and its own writers.
  const { resource, faults } = validateResource(defined({ ...value, status: undefined }));
  setWarnings(call, faults.filter((fault) => fault.severity !== "error").map(warningOf));
  if (resource === null) {
    const name = metadataOf(value)["name"];
    const { kind, group } = path.info;
    throw invalid({ kind, group, name: typeof name === "string" ? name : "" }, faults);
  }
  // One stored form for all the versions of a kind.
  return { ...resource, apiVersion: apiVersionOf(path.info, path.info.storageVersion) };
}

function warningOf(fault: Fault): string {
  return `${fault.code}: ${faultText(fault)}`;
}

/** The body as an object of the path's kind; what it leaves out of the envelope is filled in. */
async function readObject(call: Call, path: KindPath): Promise<Json> {
  const body = await readBody(call);
  if (!isObject(body)) throw badRequest("the body must be an object");
  const apiVersion = apiVersionOf(path.info, path.version);
  const { kind } = path.info;
  if ((body["apiVersion"] ?? apiVersion) !== apiVersion || (body["kind"] ?? kind) !== kind) {
    const is = `${JSON.stringify(body["apiVersion"])} ${JSON.stringify(body["kind"])}`;
    throw badRequest(`the path wants "${apiVersion}" "${kind}", the body is ${is}`);
  }
  const { namespace } = path;
  const given = metadataOf(body)["namespace"];
  if (given !== undefined && namespace !== null && given !== namespace) {
    const is = JSON.stringify(given);
    throw badRequest(`the path names the namespace ${namespace}, the body ${is}`);
  }
  return { ...body, apiVersion, kind };
}

function checkName(metadata: Json, name: string): void {
  if ((metadata["name"] ?? name) === name) return;
  throw badRequest(`the path names ${name}, the body ${JSON.stringify(metadata["name"])}`);
}

function namespaceOf(path: KindPath): Json {
  return path.namespace === null ? {} : { namespace: path.namespace };
}

/** Metadata as a client may write it: what the store and the controllers own stays as it is. */
function withoutOwn(metadata: Json, existing: Resource | null): Json {
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = metadata;
  const own: Partial<ObjectMeta> = existing?.metadata ?? {};
  const { deletionTimestamp } = own;
  const written = { name, namespace, labels, annotations, finalizers, ownerReferences };
  return defined({ ...unknownMetadata(metadata), ...written, deletionTimestamp });
}

const OWN_METADATA: ReadonlySet<string> = new Set([
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "selfLink",
]);

/** Left in, so that validation can say something about it. */
function unknownMetadata(metadata: Json): Json {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !OWN_METADATA.has(name)));
}

function defined(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}

function conditionsOf(holder: Json): ConditionalOptions {
  const { resourceVersion, uid } = holder;
  return {
    ...(isText(resourceVersion) ? { ifRevision: resourceVersion } : {}),
    ...(isText(uid) ? { ifUid: uid } : {}),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isAll(value: unknown): boolean {
  return Array.isArray(value) && value.includes("All");
}

function metadataOf(value: Json): Json {
  return isObject(value["metadata"]) ? value["metadata"] : {};
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
