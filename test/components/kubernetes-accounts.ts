//! The same tokens of service accounts asked of our API server and of a real one.

import type { Answered, Sent } from "../../src/server/testing/served.ts";
import type { BothServers } from "./kubernetes-access.ts";

const USER = "root";
const PLACE = "/api/v1/namespaces/default";
const ACCOUNTS = `${PLACE}/serviceaccounts`;
const TOKEN = `${ACCOUNTS}/robot/token`;
const REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

type Step = Omit<Sent, "token">;

function posted(path: string, body: object): Step {
  return { method: "POST", path, body };
}

const asks = (spec: object, metadata: object = {}): Step => posted(TOKEN, { metadata, spec });
const bound = (ref: object): Step => asks({ boundObjectRef: ref });
const SECRET = { apiVersion: "v1", kind: "Secret", name: "of-robot" };
const GET = { resourceAttributes: { verb: "get", resource: "pods" } };

const STEPS: readonly Step[] = [
  posted(ACCOUNTS, { metadata: { name: "robot" } }),
  posted(ACCOUNTS, { metadata: { name: "Robot" } }),
  posted(`${PLACE}/secrets`, { metadata: { name: "of-robot" } }),
  posted(`${ACCOUNTS}/none/token`, {}),
  { path: TOKEN },
  { method: "DELETE", path: TOKEN },
  asks({}),
  ...[0, 599, 600, 86_400, -1, 2 ** 32, 2 ** 32 + 1].map((seconds) =>
    asks({ expirationSeconds: seconds }),
  ),
  asks({ expirationSeconds: "3600" }),
  asks({ audiences: ["a", "b"] }),
  asks({ audiences: "a" }),
  asks({}, { name: "robot", namespace: "default" }),
  asks({}, { name: "other" }),
  asks({}, { namespace: "other" }),
  asks({}, { uid: "other" }),
  bound(SECRET),
  bound({ ...SECRET, uid: "other" }),
  bound({ ...SECRET, name: "none" }),
  bound({ ...SECRET, kind: "ConfigMap" }),
  bound({ ...SECRET, apiVersion: "apps/v1", kind: "Deployment" }),
  bound({ apiVersion: "v1", kind: "Pod", name: "none" }),
  posted(REVIEWS, { spec: {} }),
  posted(REVIEWS, { spec: { token: "wrong" } }),
  posted(REVIEWS, { spec: { token: "a.b.c", audiences: ["a"] } }),
  posted(ACCESS, { spec: { ...GET, user: "nobody" } }),
  posted(ACCESS, { spec: { ...GET, groups: ["system:masters"] } }),
  posted(ACCESS, { spec: GET }),
  posted(ACCESS, { spec: { user: "nobody" } }),
  posted(ACCESS, { spec: { ...GET, nonResourceAttributes: {}, user: "nobody" } }),
];

/** What was answered otherwise. */
export async function accountDifferences(both: BothServers): Promise<readonly string[]> {
  const differences: string[] = [];
  for (const step of STEPS) {
    const answers = await both.ask(USER, step);
    const [own, other] = answers.map((answer) => said(answer, step));
    if (own === other) continue;
    differences.push(`${JSON.stringify(step)}\nours:   ${own}\ntheirs: ${other}`);
  }
  return differences;
}

interface Body {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly spec?: { readonly audiences?: readonly string[]; readonly expirationSeconds?: number };
  readonly status?: {
    readonly token?: string;
    readonly expirationTimestamp?: string;
    readonly authenticated?: boolean;
    readonly error?: string;
    readonly user?: object;
    readonly allowed?: boolean;
  };
}

function said({ code, text }: Answered, { path }: Step): string {
  const body = JSON.parse(text) as Body;
  const { kind, message, reason, metadata = {}, spec = {}, status = {} } = body;
  if (code === 422 && path === TOKEN) return JSON.stringify({ code, reason, message });
  // A field of a wrong type is invalid to some checks here; other words are our own.
  if (code >= 400) return JSON.stringify({ code, reason });
  const { audiences = [], expirationSeconds } = spec;
  const { authenticated, error, user, allowed } = status;
  return JSON.stringify({
    ...{ code, kind, name: metadata.name, namespace: metadata.namespace },
    // The issuer is the server's own.
    ...{ audiences: audiences.length === 1 ? ["own"] : audiences, expirationSeconds },
    claims: status.token === undefined ? [] : claimsOf(status.token),
    hasEnd: status.expirationTimestamp !== undefined,
    ...{ authenticated, isWrong: error !== undefined, user, allowed },
  });
}

function claimsOf(token: string): readonly unknown[] {
  const text = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  const claims = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const own = claims["kubernetes.io"] as object;
  const { exp, iat, nbf, sub } = claims;
  return [
    ...[Object.keys(claims).sort(), Object.keys(own).sort(), sub],
    ...[Number(exp) - Number(iat), Number(nbf) - Number(iat)],
  ];
}
