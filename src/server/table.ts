//! How objects are answered: as they are, or as the table that kubectl prints.
//!
//! A client asks for a table with `Accept: application/json;as=Table;v=v1;g=meta.k8s.io`.

import { formatAge } from "../base/age.ts";
import type { Resource } from "../resources/object.ts";
import { apiVersionOf, type Column } from "../resources/registry.ts";
import { sendJson, type Call } from "./call.ts";
import { present, type KindPath } from "./kind-path.ts";
import { badRequest } from "./status.ts";

/** One object as this client wants it: in an answer of its own, or in a watch's event. */
export type Render = (resource: Resource) => unknown;

export function rendererOf(call: Call, path: KindPath): Render {
  if (!wantsTable(call)) return (resource) => present(path, resource);
  const withObject = includeObject(call);
  return (resource) => {
    const { resourceVersion = "" } = resource.metadata;
    return tableOf(call, path, { items: [resource], resourceVersion, withObject });
  };
}

export function sendObject(call: Call, path: KindPath, code: number, resource: Resource): void {
  sendJson(call, code, rendererOf(call, path)(resource));
}

export interface Listed {
  readonly items: readonly Resource[];
  readonly resourceVersion: string;
  /** Of a page that is not the last. */
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export function sendList(call: Call, path: KindPath, listed: Listed): void {
  if (wantsTable(call)) {
    const withObject = includeObject(call);
    sendJson(call, 200, tableOf(call, path, { ...listed, withObject }));
    return;
  }
  const { items, ...metadata } = listed;
  sendJson(call, 200, {
    kind: `${path.info.kind}List`,
    apiVersion: apiVersionOf(path.info, path.version),
    metadata,
    items: items.map((item) => present(path, item)),
  });
}

/** A bookmark in the client's form: it carries nothing but the revision. */
export function bookmarkOf(
  call: Call,
  path: KindPath,
  resourceVersion: string,
  annotations?: Readonly<Record<string, string>>,
): unknown {
  if (wantsTable(call)) {
    return tableOf(call, path, { items: [], resourceVersion, withObject: "None" });
  }
  const { info, version } = path;
  const metadata = { name: "", resourceVersion, ...(annotations && { annotations }) };
  return { apiVersion: apiVersionOf(info, version), kind: info.kind, metadata };
}

/** The first of the accepted forms that we have. */
function wantsTable(call: Call): boolean {
  for (const range of (call.request.headers.accept ?? "").split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (!["application/json", "application/*", "*/*"].includes(type)) continue;
    const as = parameters.find((parameter) => parameter.startsWith("as="));
    if (as === "as=Table") return parameters.includes("v=v1");
    if (as === undefined) return false;
  }
  return false;
}

type IncludeObject = "None" | "Metadata" | "Object";

function includeObject(call: Call): IncludeObject {
  const text = call.query.get("includeObject") ?? "Metadata";
  if (text === "None" || text === "Metadata" || text === "Object") return text;
  throw badRequest("includeObject must be None, Metadata or Object");
}

function tableOf(
  call: Call,
  path: KindPath,
  { items, withObject, ...metadata }: Listed & { readonly withObject: IncludeObject },
): unknown {
  const { columns } = path.info;
  const plain = columns.filter(({ wide }) => !wide);
  const wide = columns.filter((column) => column.wide);
  const nowMs = call.dependencies.clock.nowMs();
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: [
      definition("Name", 0, "name"),
      ...plain.map(({ name }) => definition(titled(name), 0)),
      definition("Age", 0),
      ...wide.map(({ name }) => definition(titled(name), 1)),
    ],
    rows: items.map((item) => ({
      cells: [
        item.metadata.name,
        ...plain.map((column: Column) => column.value(item)),
        formatAge(item.metadata.creationTimestamp, nowMs),
        ...wide.map((column: Column) => column.value(item)),
      ],
      ...objectOf(path, item, withObject),
    })),
  };
}

function definition(name: string, priority: number, format = ""): object {
  return { name, type: "string", format, description: "", priority };
}

/** kubectl writes column names in capitals itself. */
function titled(name: string): string {
  return name.charAt(0) + name.slice(1).toLowerCase();
}

function objectOf(path: KindPath, item: Resource, withObject: IncludeObject): object {
  if (withObject === "None") return {};
  if (withObject === "Object") return { object: present(path, item) };
  const { metadata } = item;
  return { object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata } };
}
