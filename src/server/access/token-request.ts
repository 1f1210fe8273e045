//! `serviceaccounts/NAME/token`: `kubectl create token`. The token is in the answer alone.

import { timestamp } from "../../base/clock.ts";
import { keyText } from "../../controlplane/store/store.ts";
import { member } from "../../resources/kinds/member.ts";
import { splitApiVersion } from "../../resources/registry.ts";
import type { Resource } from "../../resources/object.ts";
import { isDryRun, parameter, readBody, sendJson, type Call } from "../call.ts";
import { keyOfPath, kindPathOf } from "../kind-path.ts";
import { isObject, type Json } from "../patch/json.ts";
import { badRequest, notFound, refuse, refuseInvalid } from "../status.ts";
import { ISSUER, type Bound } from "./account-tokens.ts";
import { ensureBuiltIn } from "./built-in-roles.ts";
import { RBAC_GROUP } from "../../resources/kinds/role.ts";

/** As discovery tells of it. */
export const TOKEN_REQUEST = {
  group: "authentication.k8s.io",
  version: "v1",
  kind: "TokenRequest",
} as const;
const GROUP = TOKEN_REQUEST.group;
const USUAL_SECONDS = 3_600;
const SECONDS_MIN = 600;
const SECONDS_MAX = 2 ** 32;
const AUDIENCES_MAX = 100;
const BASIC = {
  group: RBAC_GROUP,
  plural: "clusterroles",
  namespace: "",
  name: "system:discovery",
};

export async function requestToken(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const { accounts, store, clock } = call.dependencies;
  if (accounts === undefined) throw notFound("serviceaccounts/token");
  const body = await readRequest(call);
  checkNames(body, key);
  const account = store.get(key);
  if (account === undefined) throw notFound(keyText(key));
  const { uid = "" } = account.metadata;
  checkUid(member(body, "metadata", "uid"), uid, key.name);
  const spec = isObject(body["spec"]) ? body["spec"] : {};
  const seconds = secondsOf(spec);
  const given = audiencesOf(spec);
  const audiences = given.length === 0 ? [ISSUER] : given;
  const bound = boundOf(call, spec["boundObjectRef"], key);
  // Whoever has the first token finds what every user may do.
  if (!isDryRun(call) && store.get(BASIC) === undefined) await ensureBuiltIn(store);
  const nowMs = clock.nowMs();
  const { namespace, name } = key;
  const issued = { account: { namespace, name, uid }, audiences, seconds, bound };
  sendJson(call, 201, {
    kind: "TokenRequest",
    apiVersion: `${GROUP}/v1`,
    metadata: { name, namespace, uid, creationTimestamp: timestamp(nowMs) },
    spec: { ...spec, audiences, expirationSeconds: seconds },
    status: {
      token: accounts.issue(issued, nowMs),
      expirationTimestamp: timestamp(nowMs + seconds * 1_000),
    },
  });
}

async function readRequest(call: Call): Promise<Json> {
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be an object");
  if ((body["kind"] ?? "TokenRequest") !== "TokenRequest") {
    throw badRequest("the kind must be TokenRequest");
  }
  return body;
}

function checkNames(body: Json, key: { readonly name: string; readonly namespace: string }): void {
  const [name, namespace] = ["name", "namespace"].map((one) => member(body, "metadata", one) ?? "");
  if (namespace !== "" && namespace !== key.namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent");
  }
  if (name === "" || name === key.name) return;
  const says = "must match the service account name if specified";
  throw invalidRequest("metadata.name", name, says, key.name);
}

function checkUid(given: unknown, uid: string, name: string): void {
  if (typeof given !== "string" || given === "" || given === uid) return;
  const says = `the UID in the token request (${given}) does not match the UID of the account`;
  const what = `Operation cannot be fulfilled on TokenRequest.${GROUP} ${JSON.stringify(name)}`;
  throw refuse(409, "Conflict", `${what}: ${says} (${uid})`);
}

function secondsOf(spec: Json): number {
  const seconds = spec["expirationSeconds"] ?? USUAL_SECONDS;
  if (!Number.isInteger(seconds)) throw badRequest("spec.expirationSeconds must be an integer");
  const number = Number(seconds);
  const field = "spec.expirationSeconds";
  if (number < SECONDS_MIN) {
    throw invalidRequest(field, number, "may not specify a duration less than 10 minutes");
  }
  if (number > SECONDS_MAX) {
    throw invalidRequest(field, number, "may not specify a duration larger than 2^32 seconds");
  }
  return number;
}

function invalidRequest(field: string, value: unknown, says: string, name = ""): Error {
  const message = `Invalid value: ${JSON.stringify(value)}: ${says}`;
  const what = { group: GROUP, kind: "TokenRequest", name };
  return refuseInvalid(what, [{ reason: "FieldValueInvalid", message, field }]);
}

/** Also of a TokenReview. Throws 400. */
export function audiencesOf(spec: Json): readonly string[] {
  const given = spec["audiences"] ?? [];
  if (!Array.isArray(given) || given.length > AUDIENCES_MAX || !given.every(isText)) {
    throw badRequest(`spec.audiences must be at most ${AUDIENCES_MAX} texts`);
  }
  return given;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** What the token ends with. Throws 400, 404 and 409. */
function boundOf(
  call: Call,
  ref: unknown,
  account: { readonly name: string; readonly namespace: string },
): Bound | null {
  if (ref === undefined || ref === null) return null;
  const [kind, name, uid, version] = ["kind", "name", "uid", "apiVersion"].map((field) => {
    const value = member(ref, field) ?? "";
    if (typeof value !== "string") throw badRequest(`boundObjectRef.${field} must be a text`);
    return value;
  }) as [string, string, string, string];
  const { group, version: v } = splitApiVersion(version);
  if (group !== "" || (kind !== "Pod" && kind !== "Secret")) {
    throw badRequest(`cannot bind token to object of type ${group}/${v}, Kind=${kind}`);
  }
  const plural = `${kind.toLowerCase()}s`;
  const key = { group, plural, namespace: account.namespace, name };
  const live = call.dependencies.store.get(key);
  if (live === undefined) throw notFound(keyText(key));
  if (kind === "Pod" && accountOfPod(live) !== account.name) {
    const says = "to pod running with different serviceaccount name.";
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(account.name)} ${says}`,
    );
  }
  const own = live.metadata.uid ?? "";
  if (uid !== "" && uid !== own) {
    const says = `the UID in the bound object reference (${uid}) does not match the UID in record`;
    throw refuse(409, "Conflict", `${says}. The object might have been deleted and then recreated`);
  }
  return { kind, ref: { name, uid: own } };
}

function accountOfPod({ spec }: Resource): string {
  const name = member(spec, "serviceAccountName");
  return typeof name === "string" && name !== "" ? name : "default";
}
