//! Whose request it is: by the client certificate or the bearer token, and, where that user may,
//! in another one's name.

import type { IncomingMessage } from "node:http";
import { isSameToken } from "../credentials.ts";
import type { Call } from "../call.ts";
import type { ServerDependencies } from "../dependencies.ts";
import { badRequest, failure, refuse, StatusError } from "../status.ts";
import { ISSUER, type Recognized } from "./account-tokens.ts";
import { resourceText, type Ask, type ResourceAsk } from "./attributes.ts";
import { authorize, type Decision } from "./rbac.ts";
import { accountOf, ADMIN, impersonatedUser, type User } from "./user.ts";

const IMPERSONATE_USER = "impersonate-user";
const IMPERSONATE_GROUP = "impersonate-group";
const GROUPS_MAX = 100;

type Authentication = Pick<
  ServerDependencies,
  "token" | "tokens" | "certificates" | "accounts" | "store" | "clock"
>;

/** A certificate goes before a token, as in Kubernetes. Throws `StatusError` 401. */
export function authenticate(request: IncomingMessage, dependencies: Authentication): User {
  const { certificates, clock } = dependencies;
  const own = certificates?.userOf(request.socket, clock.nowMs()) ?? null;
  if (own !== null && typeof own !== "string") return own;
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const found = given === undefined ? null : recognize(given, [ISSUER], dependencies);
  if (found !== null && typeof found !== "string") return found.user;
  throw unauthorized(own, found ?? (given === undefined ? null : WRONG));
}

/** Null: nobody has it; a text: why it is not good. */
export function recognize(
  given: string,
  audiences: readonly string[],
  { token, tokens, accounts, store, clock }: Authentication,
): Recognized | string | null {
  const known = isSameToken(given, token) ? ADMIN : (tokens?.userOf(given) ?? null);
  // Such a token says nothing of audiences: it is for the API alone.
  if (known !== null) {
    return audiences.includes(ISSUER) ? { user: known, audiences: [ISSUER] } : null;
  }
  return accounts?.recognize(given, { store, nowMs: clock.nowMs(), audiences }) ?? null;
}

const PLACE = "it stands in admin.token in the state directory";
const WRONG = `the bearer token is wrong; ${PLACE}`;

function unauthorized(ofCertificate: string | null, ofToken: string | null): StatusError {
  const faults = [
    ...(ofCertificate === null ? [] : [`the client certificate is refused: ${ofCertificate}`]),
    ...(ofToken === null ? [] : [ofToken]),
  ];
  const message = faults.length === 0 ? `a bearer token is required; ${PLACE}` : faults.join("; ");
  return refuse(401, "Unauthorized", message);
}

/**
 * The user that `Impersonate-User` and `-Group` name; null without them. Throws `StatusError` 403
 * for who may not. What else Kubernetes has of this is refused, never ignored.
 */
export function impersonated(
  request: IncomingMessage,
  user: User,
  store: ServerDependencies["store"],
): User | null {
  const wanted = wantedUser(request);
  if (wanted === null) return null;
  const { name, groups } = wanted;
  const account = accountOf(name);
  const asks: ResourceAsk[] = [
    account === null
      ? impersonation("users", name)
      : { ...impersonation("serviceaccounts", account.name), namespace: account.namespace },
    ...groups.map((group) => impersonation("groups", group)),
  ];
  for (const ask of asks) {
    const decision = authorize(store, user, ask);
    if (!decision.isAllowed) throw forbidden(user, ask, decision);
  }
  return impersonatedUser(name, groups);
}

/** Null: nobody else is meant. */
function wantedUser(request: IncomingMessage): Pick<User, "name" | "groups"> | null {
  const wanted = Object.keys(request.headers).filter((name) => name.startsWith("impersonate-"));
  if (wanted.length === 0) return null;
  const other = wanted.find((name) => name !== IMPERSONATE_USER && name !== IMPERSONATE_GROUP);
  if (other !== undefined) throw badRequest(`${other} is not served: only users and groups are`);
  const [name = "", ...more] = request.headersDistinct[IMPERSONATE_USER] ?? [];
  const groups = request.headersDistinct[IMPERSONATE_GROUP] ?? [];
  if (name === "" || more.length > 0) throw badRequest("impersonation needs one Impersonate-User");
  if (groups.length > GROUPS_MAX) throw badRequest(`at most ${GROUPS_MAX} groups at once`);
  return { name, groups };
}

function impersonation(resource: string, name: string): ResourceAsk {
  const where = { group: "", version: "v1", resource, subresource: "", namespace: "" };
  return { kind: "resource", verb: "impersonate", ...where, name };
}

/** Throws `StatusError` 403. */
export function demand({ dependencies, user }: Call, ask: Ask): void {
  const decision = authorize(dependencies.store, user, ask);
  if (!decision.isAllowed) throw forbidden(user, ask, decision);
}

/** 403 in the words of a Kubernetes API server. */
export function forbidden(user: User, ask: Ask, { reason }: Pick<Decision, "reason">): StatusError {
  const end = reason === "" ? "" : `: ${reason}`;
  const says = `User ${JSON.stringify(user.name)} cannot ${cannotText(ask)}${end}`;
  const { group, resource, name } = ask.kind === "path" ? NO_RESOURCE : ask;
  const details = {
    ...{ ...(name !== "" && { name }), ...(group !== "" && { group }) },
    ...(resource !== "" && { kind: resource }),
  };
  if (resource === "") {
    return new StatusError(failure(403, "Forbidden", `forbidden: ${says}`, details));
  }
  const what = resourceText({ group, resource }) + (name === "" ? "" : ` ${JSON.stringify(name)}`);
  return new StatusError(failure(403, "Forbidden", `${what} is forbidden: ${says}`, details));
}

const NO_RESOURCE = { group: "", resource: "", name: "" } as const;

function cannotText(ask: Ask): string {
  if (ask.kind === "path") return `${ask.verb} path ${JSON.stringify(ask.path)}`;
  const { verb, group, resource, subresource, namespace } = ask;
  const whole = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  return `${verb} resource "${whole}" in API group "${group}" ${where}`;
}
