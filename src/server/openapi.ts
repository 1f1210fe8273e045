//! OpenAPI of what is served, made of the kinds' own schemas: `kubectl explain` and its checks
//! before an apply read it.

import { createHash } from "node:crypto";
import { wholeSchema } from "../resources/metadata.ts";
import { apiVersionOf, KINDS, type KindInfo } from "../resources/registry.ts";
import { parameter, sendJson, type Call } from "./call.ts";
import { isObject, type Json } from "./patch/json.ts";
import { notFound } from "./status.ts";

const TITLE = { title: "Graylane", version: "v1" };

/** `/openapi/v3`: one document for each group and version; its hash lets clients keep it. */
export function openApiIndex(call: Call): void {
  const paths = groupVersions().map(({ group, version }) => {
    const path = group === "" ? `api/${version}` : `apis/${group}/${version}`;
    const hash = createHash("sha256").update(JSON.stringify(documentOf(group, version)));
    const query = hash.digest("hex").toUpperCase();
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${query}` }] as const;
  });
  sendJson(call, 200, { paths: Object.fromEntries(paths) });
}

export function openApiOfGroup(call: Call): void {
  const [group, version] = [parameter(call, "group"), parameter(call, "version")];
  if (kindsOf(group, version).length === 0) throw notFound(`the group version ${group}/${version}`);
  sendJson(call, 200, documentOf(group, version));
}

/** The whole in the form of version 2.0, as JSON. */
export function openApiV2(call: Call): void {
  const all = groupVersions().map(({ group, version }) => schemasOf(group, version));
  sendJson(call, 200, {
    swagger: "2.0",
    info: TITLE,
    paths: {},
    definitions: Object.assign({}, ...all) as Json,
  });
}

function groupVersions(): readonly { readonly group: string; readonly version: string }[] {
  const seen = new Map(
    KINDS.flatMap(({ group, versions }) =>
      versions.map((version) => [`${group}/${version}`, { group, version }] as const),
    ),
  );
  return [...seen.values()];
}

function kindsOf(group: string, version: string): readonly KindInfo[] {
  return KINDS.filter((info) => info.group === group && info.versions.includes(version));
}

function documentOf(group: string, version: string): Json {
  return {
    openapi: "3.0.0",
    info: TITLE,
    paths: Object.fromEntries(kindsOf(group, version).flatMap((info) => pathsOf(info, version))),
    components: { schemas: schemasOf(group, version) },
  };
}

function schemasOf(group: string, version: string): Json {
  return Object.fromEntries(
    kindsOf(group, version).map((info) => {
      const gvk = gvkOf(info, version);
      const schema = schemaOf(wholeSchema(info) as unknown as Json);
      return [schemaName(info, version), { ...schema, "x-kubernetes-group-version-kind": [gvk] }];
    }),
  );
}

/** Domain names backwards, as Kubernetes names its schemas: `io.graylane.v1alpha1.Lane`. */
function schemaName(info: KindInfo, version: string): string {
  const group = info.group.includes(".") ? info.group.split(".").reverse().join(".") : info.group;
  return ["io.k8s.api", group, version, info.kind]
    .slice(info.group.includes(".") ? 1 : 0)
    .filter((part) => part !== "")
    .join(".");
}

function gvkOf({ group, kind }: KindInfo, version: string): Json {
  return { group, version, kind };
}

const LIST_PARAMETERS = [
  ...["labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch"],
  ...["limit", "continue", "sendInitialEvents", "watch"],
];

function pathsOf(info: KindInfo, version: string): readonly (readonly [string, Json])[] {
  const base = info.group === "" ? "/api" : "/apis";
  const root = `${base}/${apiVersionOf(info, version)}`;
  const collection = `${root}${info.namespaced ? "/namespaces/{namespace}" : ""}/${info.plural}`;
  const operation = (action: string, parameters: readonly string[]): Json => ({
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": gvkOf(info, version),
    parameters: parameters.map((name) => {
      return { name, in: "query", schema: { type: "string", uniqueItems: true } };
    }),
    responses: { "200": { description: "OK" } },
  });
  const write = ["dryRun", "fieldManager", "fieldValidation"];
  return [
    [
      collection,
      {
        get: operation("list", LIST_PARAMETERS),
        post: operation("post", write),
        delete: operation("deletecollection", ["dryRun", "labelSelector", "fieldSelector"]),
      },
    ],
    [
      `${collection}/{name}`,
      {
        get: operation("get", []),
        put: operation("put", write),
        patch: operation("patch", [...write, "force"]),
        delete: operation("delete", ["dryRun"]),
      },
    ],
  ];
}

/** Members of JSON Schema that OpenAPI 3.0 has, too. */
const SHARED = new Set([
  "type",
  "description",
  "required",
  "default",
  "enum",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "minItems",
  "maxItems",
  "pattern",
]);

function schemaOf(schema: Json): Json {
  const result: Json = {};
  for (const [name, value] of Object.entries(schema)) {
    if (SHARED.has(name)) result[name] = value;
  }
  const { properties, items, additionalProperties, anyOf, oneOf } = schema;
  if (isObject(properties)) {
    const members = Object.entries(properties).filter(([, member]) => isObject(member));
    result["properties"] = Object.fromEntries(
      members.map(([name, member]) => [name, schemaOf(member as Json)]),
    );
  }
  if (isObject(items)) result["items"] = schemaOf(items);
  if (isObject(additionalProperties)) {
    result["additionalProperties"] = schemaOf(additionalProperties);
  }
  const choices = anyOf ?? oneOf;
  if (Array.isArray(choices)) result["anyOf"] = choices.filter(isObject).map(schemaOf);
  if (Array.isArray(result["type"])) delete result["type"];
  if (result["type"] === undefined) result["x-kubernetes-preserve-unknown-fields"] = true;
  return result;
}
