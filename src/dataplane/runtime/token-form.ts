//! The form of a token (JWT, RFC 7519, in compact serialization, RFC 7515), beyond which nobody has
//! to agree on what it says: I-JSON (RFC 7493), claims of their types, base64url in the one way to
//! write it. Envoy's own verification asks for the same; what it asks less of,
//! `plugins/lane-filter` does.

/** Of lists and objects within each other. */
const LEVELS_MAX = 100;
const DATE_MAX = 2 ** 64;
const STRING = /"(?:[^"\\]|\\.)*"/g;
/** Half of a surrogate pair, by itself. */
const LONE_SURROGATE = /\p{Surrogate}/u;

type JsonMap = Readonly<Record<string, unknown>>;

export function isWellFormed(token: string): boolean {
  const parts = token.split(".");
  if (parts.length !== 3 || !parts.every(isBase64url)) return false;
  const header = readObject(parts[0] ?? "");
  const claims = readObject(parts[1] ?? "");
  return header !== null && claims !== null && isHeader(header) && areClaims(claims);
}

/** Without padding, and with no bits that mean nothing. */
function isBase64url(text: string): boolean {
  return text !== "" && Buffer.from(text, "base64url").toString("base64url") === text;
}

function readObject(part: string): JsonMap | null {
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const text = decoder.decode(Buffer.from(part, "base64url"));
    const value: unknown = JSON.parse(text);
    const names = text.replaceAll(STRING, "").split(":").length - 1;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    // A name that stands twice is a member less.
    return membersOf(value, 1) === names ? (value as JsonMap) : null;
  } catch {
    return null;
  }
}

/** How many members there are, at all levels; NaN: there is something that I-JSON has not. */
function membersOf(value: unknown, level: number): number {
  if (typeof value === "string") return LONE_SURROGATE.test(value) ? NaN : 0;
  if (typeof value === "number") return Number.isFinite(value) ? 0 : NaN;
  if (typeof value !== "object" || value === null) return 0;
  if (level > LEVELS_MAX) return NaN;
  const inner = Object.values(value).reduce(
    (sum: number, one) => sum + membersOf(one, level + 1),
    0,
  );
  if (Array.isArray(value)) return inner;
  const names = Object.keys(value);
  return names.some((name) => LONE_SURROGATE.test(name)) ? NaN : inner + names.length;
}

/** No extension is known that a token could insist on (RFC 7515, 4.1.11). */
function isHeader({ crit, kid }: JsonMap): boolean {
  return crit === undefined && (kid === undefined || typeof kid === "string");
}

/** RFC 7519, 4.1. */
function areClaims({ iss, sub, aud, exp, nbf, iat, jti }: JsonMap): boolean {
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const texts = [iss, sub, jti, ...audiences];
  return (
    texts.every((one) => one === undefined || typeof one === "string") &&
    [exp, nbf, iat].every(isDate)
  );
}

function isDate(value: unknown): boolean {
  if (value === undefined) return true;
  return typeof value === "number" && value >= 0 && value < DATE_MAX;
}
