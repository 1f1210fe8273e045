//! The verbs on objects, but for delete: get, list, create, update, status.

import { randomBytes } from "node:crypto";
import { timestamp } from "../base/clock.ts";
import { finalizersOf, isPending } from "../controlplane/store/deletion.ts";
import {
  keyText,
  type ConditionalOptions,
  type StoreKey,
  type WriteResult,
} from "../controlplane/store/store.ts";
import type { Fault } from "../resources/fault.ts";
import { completedNamespace } from "../resources/kinds/namespace.ts";
import type { ObjectMeta, Resource } from "../resources/object.ts";
import { apiVersionOf } from "../resources/registry.ts";
import { validateResource } from "../resources/validate.ts";
import { isWatch } from "./access/attributes.ts";
import { checkEscalation, checkRoleRef } from "./access/escalation.ts";
import { isDryRun, parameter, readBody, setWarnings, type Call } from "./call.ts";
import { checkFinalizers } from "./finalizers.ts";
import { keyOfPath, kindPathOf, type KindPath } from "./kind-path.ts";
import { isObject, type Json } from "./patch/json.ts";
import { listRulesOf } from "./patch/list-rules.ts";
import { MANAGER_NAME_CHARS_MAX, managedAfterUpdate, type Writer } from "./patch/managed-fields.ts";
import { listOptionsOf, type ListOptions } from "./list-options.ts";
import { checkOwners } from "./owners.ts";
import { pageOf } from "./pages.ts";
import { checkNamespaceStays } from "./namespaces.ts";
import { selectionOf, type Selection } from "./selection.ts";
import { sendList, sendObject } from "./table.ts";
import { badRequest, faultText, invalid, notFound, refuse, writeRefused } from "./status.ts";
import { streamWatch } from "./watch-stream.ts";

export function getObject(call: Call): void {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const resource = call.dependencies.store.get(key);
  if (resource !== undefined) {
    sendObject(call, path, 200, resource);
    return;
  }
  const name = keyText(key);
  const damage = call.dependencies.store.damaged().find((record) => record.key === name);
  if (damage === undefined) throw notFound(name);
  const message = `the record of ${name} is damaged: ${damage.reason}; apply it again or delete it`;
  throw refuse(500, "InternalError", message);
}

export async function listObjects(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const selection = selectionOf(call, path);
  if (isWatch(call.query)) {
    streamWatch(call, path, selection);
    return;
  }
  const options = listOptionsOf(call, selection);
  await call.lists.take(call.response, () => {
    answerList(call, path, { selection, options });
  });
}

function answerList(
  call: Call,
  path: KindPath,
  { selection, options }: { readonly selection: Selection; readonly options: ListOptions },
): void {
  const page = pageOf(call.dependencies.store, selection, options);
  const damaged = call.dependencies.store.damaged().map((record) => record.key);
  const prefix = keyText({ ...path.info, namespace: path.namespace ?? "", name: "" });
  const missing = damaged.filter((key) => key.startsWith(prefix.replace(/\/+$/, "/")));
  setWarnings(
    call,
    missing.map((key) => `${key} is damaged and left out; apply it again or delete it`),
  );
  sendList(call, path, page);
}

export async function createObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const body = await readObject(call, path);
  const metadata = metadataOf(body);
  const key = keyOfPath(path, nameOf(metadata));
  if (metadata["resourceVersion"] !== undefined && metadata["resourceVersion"] !== "") {
    throw badRequest("metadata.resourceVersion must not be set on an object to be created");
  }
  checkNamespaceStays(call, path, isGiven(metadata) ? key.name : generateNameOf(metadata));
  const dryRun = isDryRun(call);
  const named = { ...body, metadata: { ...metadata, name: key.name } };
  await writeObject(call, { ...NEW, body: named, path, key, dryRun });
}

const NEW = {
  existing: null,
  subresource: "",
  ifRevision: undefined,
  isManaged: false,
} as const;

function isGiven({ name }: Json): boolean {
  return typeof name === "string" && name !== "";
}

function generateNameOf({ generateName }: Json): string {
  return typeof generateName === "string" ? generateName : "";
}

/** `generateName` gets a random end, as in Kubernetes. */
function nameOf(metadata: Json): string {
  const { name } = metadata;
  if (typeof name === "string" && name !== "") return name;
  const generateName = generateNameOf(metadata);
  if (generateName === "") return "";
  return generateName + randomBytes(GENERATED_BYTES).toString("hex").slice(0, GENERATED_CHARS);
}

const GENERATED_CHARS = 5;
const GENERATED_BYTES = 3;

export async function updateObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = await readObject(call, path);
  const metadata = metadataOf(body);
  const existing = call.dependencies.store.get(key) ?? null;
  if (existing === null) throw notFound(keyText(key));
  const { ifRevision } = conditionsOf(metadata);
  const dryRun = isDryRun(call);
  await writeObject(call, { ...NEW, body, path, key, existing, ifRevision, dryRun });
}

/** An object that is to be written: its new whole, and what it replaces. */
export interface Written {
  readonly body: Json;
  readonly path: KindPath;
  readonly key: StoreKey;
  /** `null`: it is created. */
  readonly existing: Resource | null;
  readonly subresource: Writer["subresource"];
  /** The resourceVersion that it must still have. */
  readonly ifRevision: string | undefined;
  /** The body's managedFields are final: an apply has set them. */
  readonly isManaged: boolean;
  readonly dryRun: boolean;
}

/** Validates, writes and answers. Throws `StatusError`. */
export async function writeObject(call: Call, written: Written): Promise<void> {
  const code = written.existing === null && written.subresource === "" ? 201 : 200;
  sendObject(call, written.path, code, await storeObject(call, written));
}

/** Validates and writes; resolves to what is stored. Throws `StatusError`. */
export async function storeObject(call: Call, written: Written): Promise<Resource> {
  const { body, path, key, existing, dryRun } = written;
  const { store } = call.dependencies;
  const metadata = metadataOf(body);
  checkName(metadata, key.name);
  const { ifUid } = conditionsOf(metadata);
  const options = {
    dryRun,
    ...(written.ifRevision === undefined ? {} : { ifRevision: written.ifRevision }),
    ...(ifUid === undefined ? {} : { ifUid }),
  };
  if (written.subresource === "status") {
    return stored(await store.updateStatus(key, body["status"], options));
  }
  if (existing === null) checkNamespaceStays(call, path, key.name);
  const own = withoutOwn({ ...metadata, name: key.name, ...namespaceOf(path) }, existing);
  const resource = completedNamespace(
    withManagers(call, written, validated(call, path, { ...body, metadata: own })),
    existing,
  );
  checkOwners(path.info.kind, resource);
  const before = isOf(metadata, existing) ? existing : null;
  checkEscalation(call, path.info, { before, written: resource });
  if (existing !== null) checkRoleRef(path.info, existing, resource);
  if (existing === null) return stored(await store.create(resource, { dryRun }));
  checkFinalizers(path.info.kind, resource, existing);
  // The last finalizer of an object that is to be deleted has gone.
  const isOver = isPending(existing) && finalizersOf(resource).length === 0;
  const result = await (isOver ? store.delete(key, options) : store.update(resource, options));
  return stored(dryRun ? asStored(result, existing) : result);
}

/** Whoever sent it has seen the object as it is. */
function isOf({ uid, resourceVersion }: Json, existing: Resource | null): boolean {
  const own: Partial<ObjectMeta> = existing?.metadata ?? {};
  return uid !== undefined && uid === own.uid && resourceVersion === own.resourceVersion;
}

/** Nothing was written: the object still has the revision that it had. */
function asStored(result: WriteResult, { metadata }: Resource): WriteResult {
  if (!result.ok) return result;
  const { resourceVersion } = metadata;
  if (resourceVersion === undefined) return result;
  const { resource } = result;
  return {
    ...result,
    resource: { ...resource, metadata: { ...resource.metadata, resourceVersion } },
  };
}

function withManagers(call: Call, written: Written, resource: Resource): Resource {
  const { body, path, existing } = written;
  const given = metadataOf(body)["managedFields"];
  const managedFields = written.isManaged
    ? given
    : managedAfterUpdate(withGivenManagers(existing, given), resource, managerOf(call, path, ""));
  return { ...resource, metadata: { ...resource.metadata, managedFields } };
}

/** A client may edit managedFields, e.g. to empty them. */
function withGivenManagers(existing: Resource | null, given: unknown): Json | null {
  if (existing === null) return null;
  if (given === undefined) return existing;
  return { ...existing, metadata: { ...existing.metadata, managedFields: given } };
}

/** Who writes: the query's `fieldManager`, else the first word of the User-Agent. */
export function managerOf(call: Call, path: KindPath, subresource: Writer["subresource"]): Writer {
  const userAgent = call.request.headers["user-agent"] ?? "";
  const manager = call.query.get("fieldManager") ?? userAgent.split("/")[0] ?? "";
  if (manager.length > MANAGER_NAME_CHARS_MAX || /[^\x20-\x7e]/.test(manager)) {
    const limit = `at most ${MANAGER_NAME_CHARS_MAX} printable ASCII characters`;
    throw badRequest(`fieldManager must be ${limit}`);
  }
  const { info, version } = path;
  return {
    manager: manager === "" ? "unknown" : manager,
    apiVersion: apiVersionOf(info, version),
    now: timestamp(call.dependencies.clock.nowMs()),
    rules: listRulesOf(info.group, info.kind),
    subresource,
  };
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
  sendObject(call, path, 200, stored(result));
}

function stored(result: WriteResult): Resource {
  if (!result.ok) throw writeRefused(result);
  return result.resource;
}

/** Throws 422 with all the faults; warnings go into headers. */
function validated(call: Call, path: KindPath, value: Json): Resource {
  // The status has its own path, and its own writers.
  const { resource, faults } = validateResource(defined({ ...value, status: undefined }));
  const warnings = faults.filter((fault) => fault.severity !== "error");
  refuseUnknown(call, warnings);
  setWarnings(call, warnings.map(warningOf));
  if (resource === null) {
    const name = metadataOf(value)["name"];
    const { kind, group } = path.info;
    throw invalid({ kind, group, name: typeof name === "string" ? name : "" }, faults);
  }
  // One stored form for all the versions of a kind.
  return { ...resource, apiVersion: apiVersionOf(path.info, path.info.storageVersion) };
}

const UNKNOWN_FIELD = "GL0106";

/** `fieldValidation=Strict`, which kubectl asks for, makes unknown fields errors. */
function refuseUnknown(call: Call, warnings: readonly Fault[]): void {
  const level = call.query.get("fieldValidation") ?? "";
  if (!["", "Ignore", "Warn", "Strict"].includes(level)) {
    throw badRequest("fieldValidation must be Ignore, Warn or Strict");
  }
  if (level !== "Strict") return;
  const unknown = warnings.filter(({ code }) => code === UNKNOWN_FIELD);
  if (unknown.length === 0) return;
  const fields = unknown.map((fault) => `unknown field "${fault.path}" (${warningOf(fault)})`);
  throw badRequest(`strict decoding error: ${fields.join(", ")}`);
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
  const { deletionTimestamp, deletionGracePeriodSeconds } = own;
  const written = { name, namespace, labels, annotations, finalizers, ownerReferences };
  const deletion = { deletionTimestamp, deletionGracePeriodSeconds };
  return defined({ ...unknownMetadata(metadata), ...written, ...deletion });
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

export function conditionsOf(holder: Json): ConditionalOptions {
  const { resourceVersion, uid } = holder;
  return {
    ...(isText(resourceVersion) ? { ifRevision: resourceVersion } : {}),
    ...(isText(uid) ? { ifUid: uid } : {}),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function metadataOf(value: Json): Json {
  return isObject(value["metadata"]) ? value["metadata"] : {};
}
