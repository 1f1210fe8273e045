//! Tokens of ServiceAccounts: JSON Web Tokens (RFC 7519) signed by the server's own key. They are
//! good as long as their account, and what they are bound to, is there with the same uid.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isMarked } from "../../controlplane/store/deletion.ts";
import type { ResourceStore, StoreKey } from "../../controlplane/store/store.ts";
import { member } from "../../resources/kinds/member.ts";
import { writePrivate } from "../credentials.ts";
import { accountUserName, authenticated, type User } from "./user.ts";

/** It says who has issued a token, and is the audience of the API itself. */
export const ISSUER = "graylane";
const KEY_FILE = "service-account.key";
/** The first signs; tokens of the others are still taken. */
const KEYS_MAX = 10;
const TOKEN_CHARS_MAX = 16_384;
/** How much clocks may differ (Kubernetes' too). */
const LEEWAY_SECONDS = 60;
const CREDENTIAL = "authentication.kubernetes.io/credential-id";
const POD_NAME = "authentication.kubernetes.io/pod-name";
const POD_UID = "authentication.kubernetes.io/pod-uid";

interface Ref {
  readonly name: string;
  readonly uid: string;
}

export interface AccountRef extends Ref {
  readonly namespace: string;
}

export interface Bound {
  readonly kind: "Pod" | "Secret";
  readonly ref: Ref;
}

export interface Issued {
  readonly account: AccountRef;
  readonly audiences: readonly string[];
  readonly seconds: number;
  readonly bound: Bound | null;
}

/** Whose token it is, and for which of the audiences asked about. */
export interface Recognized {
  readonly user: User;
  readonly audiences: readonly string[];
}

interface Key {
  readonly id: string;
  readonly own: KeyObject;
  readonly open: KeyObject;
}

/** A text: why it cannot be used. Made when there is none, for its owner only. */
export function ensureAccountKeys(stateDirectory: string): AccountTokens | string {
  const path = join(stateDirectory, KEY_FILE);
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const text = privateKey.export({ type: "pkcs8", format: "pem" });
    writePrivate(stateDirectory, KEY_FILE, text.toString());
  }
  try {
    const keys = keysIn(readFileSync(path, "utf8"));
    if (typeof keys === "string") return `${path}: ${keys}`;
    return new AccountTokens(keys);
  } catch (error) {
    return `${path}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function keysIn(text: string): readonly Key[] | string {
  const texts = text.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? [];
  if (texts.length === 0) return "holds no private key (PEM)";
  if (texts.length > KEYS_MAX) return `holds more than ${KEYS_MAX} keys`;
  const keys = texts.map((pem): Key => {
    const own = createPrivateKey(pem);
    const open = createPublicKey(own);
    const der = open.export({ type: "spki", format: "der" });
    return { id: createHash("sha256").update(der).digest("base64url"), own, open };
  });
  const isWrong = keys.some(({ own }) => own.asymmetricKeyDetails?.namedCurve !== "prime256v1");
  return isWrong ? "a key is not an elliptic one of P-256" : keys;
}

export class AccountTokens {
  readonly #keys: readonly Key[];

  constructor(keys: readonly Key[]) {
    this.#keys = keys;
  }

  issue({ account, audiences, seconds, bound }: Issued, nowMs: number): string {
    const [key] = this.#keys;
    const now = Math.floor(nowMs / 1_000);
    const { namespace, name, uid } = account;
    const claims = {
      aud: audiences,
      exp: now + seconds,
      iat: now,
      iss: ISSUER,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace,
        serviceaccount: { name, uid },
        ...(bound !== null && { [bound.kind.toLowerCase()]: bound.ref }),
      },
      nbf: now,
      sub: accountUserName(account),
    };
    const text = `${encoded({ alg: "ES256", kid: key?.id })}.${encoded(claims)}`;
    if (key === undefined) throw new Error("there is no key to sign with");
    const signature = sign("sha256", Buffer.from(text), { key: key.own, dsaEncoding: DSA });
    return `${text}.${signature.toString("base64url")}`;
  }

  /** Null: it is none of ours; a text: why it is not good. */
  recognize(token: string, { store, nowMs, audiences }: Asking): Recognized | string | null {
    const claims = this.#claimsOf(token);
    if (claims === null) return null;
    const late = timeFault(claims, Math.floor(nowMs / 1_000));
    if (late !== null) return late;
    const meant = textsIn(member(claims, "aud"));
    const matching = audiences.filter((one) => meant.includes(one));
    if (matching.length === 0) {
      const [own, wanted] = [JSON.stringify(meant), JSON.stringify(audiences)];
      return `token audiences ${own} is invalid for the target audiences ${wanted}`;
    }
    return recognizedBy(claims, store, matching);
  }

  #claimsOf(token: string): unknown {
    const [head = "", body = "", signature = "", ...rest] = token.split(".");
    if (token.length > TOKEN_CHARS_MAX || signature === "" || rest.length > 0) return null;
    const header = decoded(head);
    const claims = decoded(body);
    if (member(header, "alg") !== "ES256" || member(claims, "iss") !== ISSUER) return null;
    const key = this.#keys.find(({ id }) => id === member(header, "kid"));
    if (key === undefined) return null;
    const bytes = Buffer.from(signature, "base64url");
    const text = Buffer.from(`${head}.${body}`);
    return verify("sha256", text, { key: key.open, dsaEncoding: DSA }, bytes) ? claims : null;
  }
}

export interface Asking {
  readonly store: Pick<ResourceStore, "get">;
  readonly nowMs: number;
  /** One of them must be the token's. */
  readonly audiences: readonly string[];
}

/** As RFC 7518 section 3.4 has it. */
const DSA = "ieee-p1363";

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return null;
  }
}

function textsIn(value: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.filter((one) => typeof one === "string");
}

function timeFault(claims: unknown, now: number): string | null {
  const [exp, nbf] = ["exp", "nbf"].map((name) => Number(member(claims, name)));
  if (exp === undefined || !(now - LEEWAY_SECONDS <= exp)) {
    return "service account token has expired";
  }
  const isEarly = nbf === undefined || !(now + LEEWAY_SECONDS >= nbf);
  return isEarly ? "service account token is not valid yet" : null;
}

function recognizedBy(
  claims: unknown,
  store: Asking["store"],
  audiences: readonly string[],
): Recognized | string {
  const own = member(claims, "kubernetes.io");
  const namespace = textIn(own, "namespace");
  const account = refIn(own, "serviceaccount");
  const live = (plural: string, name: string): ReturnType<ResourceStore["get"]> => {
    const key: StoreKey = { group: "", plural, namespace, name };
    const found = store.get(key);
    return found === undefined || isMarked(found) ? undefined : found;
  };
  const found = live("serviceaccounts", account.name);
  if (found === undefined) {
    return `service account ${namespace}/${account.name} has been deleted`;
  }
  const { uid = "" } = found.metadata;
  if (uid !== account.uid) {
    return `service account UID (${uid}) does not match claim (${account.uid})`;
  }
  for (const kind of ["pod", "secret"]) {
    if (member(own, kind) === undefined) continue;
    const bound = refIn(own, kind);
    if (live(`${kind}s`, bound.name)?.metadata.uid === bound.uid) continue;
    return "service account token has been invalidated";
  }
  const pod = refIn(own, "pod");
  const extra = {
    [CREDENTIAL]: [`JTI=${textIn(claims, "jti")}`],
    ...(pod.name !== "" && { [POD_NAME]: [pod.name], [POD_UID]: [pod.uid] }),
  };
  const name = accountUserName({ namespace, name: account.name });
  return { user: authenticated({ name, uid, groups: [], extra }), audiences };
}

function refIn(own: unknown, field: string): Ref {
  return { name: textIn(member(own, field), "name"), uid: textIn(member(own, field), "uid") };
}

function textIn(value: unknown, field: string): string {
  const text = member(value, field);
  return typeof text === "string" ? text : "";
}
