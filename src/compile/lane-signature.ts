//! The keys with which a lane group's tags are signed: from the Secret that the group names.

import type { LaneGroup, SignedContext } from "../resources/kinds/lane-group.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { LaneSignature, SignatureKey } from "../snapshot/snapshot.ts";
import type { LaneScope } from "./lane-model.ts";
import { compareTexts } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";

/** As long as the hash: a shorter key of HMAC-SHA-256 is easier to guess (RFC 2104, 3). */
export const SIGNATURE_KEY_BYTES_MIN = 32;
/** Of one group; what is checked tries one of them, the one that it names. */
export const SIGNATURE_KEYS_MAX = 16;

const PATH = "spec.context.signed";
const MS_PER_SECOND = 1_000;

type Scope = Pick<LaneScope, "secrets" | "messages">;

/** Null: tags travel as they are. "unusable": a message says why nothing can be signed. */
export function modelSignature(group: LaneGroup, scope: Scope): LaneSignature | "unusable" | null {
  const { signed } = group.spec.context;
  if (signed === undefined) return null;
  const secret = scope.secrets.find(
    (each) => each.metadata.name === signed.secretName && namespaceOf(each) === namespaceOf(group),
  );
  const keys = secret === undefined ? [] : readKeys(secret, signed);
  const fit = keys.filter(isLongEnough).slice(0, SIGNATURE_KEYS_MAX);
  const fault = faultOf(signed, secret, fit);
  if (fault !== null) reportUnusable(group, fault, scope);
  for (const { id } of keys) {
    if (!fit.some((key) => key.id === id)) reportUnused(group, signed, id, scope);
  }
  if (fault !== null) return "unusable";
  const lifetimeMs = signed.lifetimeSeconds * MS_PER_SECOND;
  return { keys: fit, epoch: signed.epoch, lifetimeMs };
}

/** The one that signs first, then the last by name: names that are dates put the newest first. */
function readKeys(secret: Secret, { signWith }: SignedContext): SignatureKey[] {
  const { data = {}, stringData = {} } = secret;
  const ids = [...new Set([...Object.keys(data), ...Object.keys(stringData)])];
  ids.sort((a, b) => Number(b === signWith) - Number(a === signWith) || compareTexts(b, a));
  return ids.map((id) => {
    const plain = stringData[id];
    const bytes =
      plain === undefined ? Buffer.from(data[id] ?? "", "base64") : Buffer.from(plain, "utf8");
    return { id, signingSecret: bytes.toString("base64") };
  });
}

function isLongEnough({ signingSecret }: SignatureKey): boolean {
  return Buffer.from(signingSecret, "base64").length >= SIGNATURE_KEY_BYTES_MIN;
}

/** Why nothing can be signed, in words that show nothing of a key; null: it can. */
function faultOf(
  { secretName, signWith }: SignedContext,
  secret: Secret | undefined,
  fit: readonly SignatureKey[],
): string | null {
  if (secret === undefined) return `there is no Secret ${secretName} in the group's namespace`;
  if (signWith !== undefined && fit[0]?.id !== signWith) {
    return `the Secret ${secretName} has no key ${signWith} of ${SIGNATURE_KEY_BYTES_MIN} bytes`;
  }
  if (fit.length > 0) return null;
  return `the Secret ${secretName} has no key of ${SIGNATURE_KEY_BYTES_MIN} bytes`;
}

function reportUnusable(group: LaneGroup, fault: string, { messages }: Scope): void {
  messages.add(group, {
    severity: "error",
    code: "GL0350",
    path: PATH,
    message: `${fault}: all lanes of the group are closed, the baseline serves everybody`,
    remedy: "Apply the Secret with a key of at least 32 random bytes.",
  });
}

function reportUnused(
  group: LaneGroup,
  { secretName }: SignedContext,
  id: string,
  { messages }: Scope,
): void {
  messages.add(group, {
    severity: "error",
    code: "GL0351",
    path: `${PATH}.secretName`,
    message:
      `the entry ${id} of the Secret ${secretName} is shorter than ${SIGNATURE_KEY_BYTES_MIN} ` +
      `bytes, or one of more than ${SIGNATURE_KEYS_MAX}: what it has signed is not believed`,
    remedy: "Replace it by a key of at least 32 random bytes, or remove it.",
  });
}
