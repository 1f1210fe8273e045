//! The schema of `metadata`, after Kubernetes' ObjectMeta. What servers write is accepted.

import Type from "./typebox.ts";
import type { TSchema } from "typebox";
import { accepted, acceptedFields, labels, strings, text } from "./kinds/fields.ts";
import type { KindInfo } from "./kinds/kind.ts";

const wholeSchemas = new Map<string, TSchema>();

/** The schema of a whole object: the envelope, `metadata`, and the kind's own fields. */
export function wholeSchema(info: KindInfo): TSchema {
  const key = `${info.group}/${info.kind}`;
  let schema = wholeSchemas.get(key);
  if (schema === undefined) {
    schema = makeWholeSchema(info);
    wholeSchemas.set(key, schema);
  }
  return schema;
}

function makeWholeSchema(info: KindInfo): TSchema {
  const own = info.schema as {
    readonly properties: Readonly<Record<string, TSchema>>;
    readonly required?: readonly string[];
  };
  return Type.Unsafe({
    type: "object",
    required: ["apiVersion", "kind", "metadata", ...(own.required ?? [])],
    properties: {
      apiVersion: Type.String(),
      kind: Type.String(),
      metadata: metadataSchema(info),
      ...own.properties,
    },
  });
}

const FINALIZERS_MAX = 100;
const OWNERS_MAX = 100;

/** Who must be there for the object to stay. */
const ownerReference = Type.Object({
  apiVersion: text(),
  kind: text(),
  name: text(),
  uid: text(),
  controller: Type.Optional(Type.Boolean()),
  blockOwnerDeletion: Type.Optional(Type.Boolean()),
});

function metadataSchema(info: KindInfo): TSchema {
  return Type.Object({
    name: Type.String({ minLength: 1, format: info.nameFormat }),
    namespace: info.namespaced
      ? Type.String({ minLength: 1, format: "dns-1123-label", default: "default" })
      : accepted(),
    labels: Type.Optional(labels()),
    annotations: Type.Optional(strings()),
    resourceVersion: Type.Optional(Type.String()),
    uid: Type.Optional(Type.String()),
    generation: Type.Optional(Type.Integer()),
    creationTimestamp: Type.Optional(Type.String()),
    deletionTimestamp: Type.Optional(Type.String()),
    finalizers: Type.Optional(Type.Array(text(), { maxItems: FINALIZERS_MAX })),
    ownerReferences: Type.Optional(Type.Array(ownerReference, { maxItems: OWNERS_MAX })),
    ...acceptedFields("deletionGracePeriodSeconds", "generateName", "managedFields", "selfLink"),
  });
}
