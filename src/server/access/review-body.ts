//! The spec of a review, as JSON, YAML, or in the part of Kubernetes' protobuf that `kubectl auth`
//! sends: four bytes, then `runtime.Unknown`, whose `raw` is the object.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>,
//! <https://protobuf.dev/programming-guides/encoding/>

import { isObject, type Json } from "../patch/json.ts";
import { PROTOBUF, readBody, readBytes, type Call } from "../call.ts";
import { badRequest } from "../status.ts";

const MAGIC = Buffer.from("k8s\0");
const RAW = 2;
const SPEC = 2;
/** The numbers of the fields in `generated.proto` of k8s.io/api. */
const ATTRIBUTES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  resourceAttributes: {
    ...{ 1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource" },
    ...{ 6: "subresource", 7: "name" },
  },
  nonResourceAttributes: { 1: "path", 2: "verb" },
};
export type ReviewKind = "SelfSubjectAccessReview" | "SelfSubjectRulesReview" | "SelfSubjectReview";

/** Throws 400 or 415. */
export async function readReview(call: Call, kind: ReviewKind): Promise<Json> {
  const type = call.request.headers["content-type"] ?? "";
  if (type.split(";")[0]?.trim().toLowerCase() === PROTOBUF) {
    return specOf(await readBytes(call.request), kind);
  }
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be an object");
  if ((body["kind"] ?? kind) !== kind) throw badRequest(`the kind must be ${kind}`);
  return isObject(body["spec"]) ? body["spec"] : {};
}

function specOf(bytes: Buffer, kind: ReviewKind): Json {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw unreadable();
  const raw = partsOf(bytes.subarray(MAGIC.length)).get(RAW) ?? Buffer.alloc(0);
  const spec = partsOf(raw).get(SPEC) ?? Buffer.alloc(0);
  if (kind === "SelfSubjectReview") return {};
  if (kind === "SelfSubjectRulesReview") return textsOf(spec, { 1: "namespace" });
  const parts = partsOf(spec);
  const given = Object.entries(ATTRIBUTES).flatMap(([name, fields], at) => {
    const part = parts.get(at + 1);
    return part === undefined ? [] : [[name, textsOf(part, fields)] as const];
  });
  return Object.fromEntries(given);
}

function textsOf(bytes: Buffer, names: Readonly<Record<number, string>>): Json {
  const parts = [...partsOf(bytes)];
  return Object.fromEntries(
    parts.flatMap(([field, part]) => {
      const name = names[field];
      return name === undefined ? [] : [[name, part.toString("utf8")] as const];
    }),
  );
}

/** A message's fields that have a length, the last of each number; the others are passed over. */
function partsOf(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const parts = new Map<number, Buffer>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw unreadable();
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw unreadable();
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag & 7;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const end = varint() + at;
      if (end > bytes.length) throw unreadable();
      parts.set(tag >>> 3, bytes.subarray(at, end));
      at = end;
    } else throw unreadable();
  }
  return parts;
}

function unreadable(): Error {
  return badRequest("the body is not Kubernetes' protobuf");
}
