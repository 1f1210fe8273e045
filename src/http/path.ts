//! Brings the path of a request target to one form, so that what routes and what answers read the
//! same (RFC 3986 section 6.2.2, and Envoy's `normalize_path`, measured on Envoy 1.40).

export interface PathRules {
  /**
   * Dot segments are resolved, `\` becomes `/`, escapes of unreserved characters are decoded, and
   * characters that no path may hold are encoded.
   */
  readonly normalize: boolean;
  /** `//` becomes `/`. */
  readonly mergeSlashes: boolean;
  /** What `%2F` and `%5C` are: text of a segment, a reason to refuse, or slashes. */
  readonly escapedSlashes: "keep" | "reject" | "decode";
}

/** What Istio does by default (`BASE`). */
export const BASE_PATH_RULES: PathRules = {
  normalize: true,
  mergeSlashes: false,
  escapedSlashes: "keep",
};

/** What a target must have for anything to be done; most have none of it. */
const SUSPECT = /[%\\"<>`{}|^]|\/[./]/;
const ESCAPED_SLASH = /%(?:2f|5c)/i;
const ESCAPED_SLASHES = /%(?:2f|5c)/gi;
const ESCAPE = /%[0-9a-f]{2}/gi;
const UNRESERVED = /[-._~0-9A-Za-z]/;
const FORBIDDEN = /["<>`{}|^]/g;
const SLASHES = /\/{2,}/g;

/**
 * The origin-form `target` with its path in one form; the query is left as it is. Null when the
 * path is to be refused: it has an encoded NUL, or an encoded slash where the rules say so.
 */
export function normalizeTarget(target: string, rules: PathRules): string | null {
  if (!SUSPECT.test(target) || target.charCodeAt(0) !== 0x2f) return target;
  const question = target.indexOf("?");
  const query = question === -1 ? "" : target.slice(question);
  const given = question === -1 ? target : target.slice(0, question);
  if (question !== -1 && !SUSPECT.test(given)) return target;
  const path = normalizePath(given, rules);
  return path === null ? null : path + query;
}

function normalizePath(given: string, rules: PathRules): string | null {
  let path = given;
  if (rules.escapedSlashes !== "keep" && ESCAPED_SLASH.test(path)) {
    if (rules.escapedSlashes === "reject") return null;
    path = path.replace(ESCAPED_SLASHES, "/");
  }
  if (rules.normalize) {
    if (path.includes("%00")) return null;
    path = resolveDots(path.replaceAll("\\", "/").replace(ESCAPE, decodeUnreserved));
    path = path.replace(FORBIDDEN, encode);
  }
  return rules.mergeSlashes ? path.replace(SLASHES, "/") : path;
}

function decodeUnreserved(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return UNRESERVED.test(character) ? character : escape;
}

function encode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** RFC 3986 section 5.2.4; a segment `..;x` counts as `..`, as some servers read it so. */
function resolveDots(path: string): string {
  if (!path.includes("/.")) return path;
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  segments.forEach((segment, index) => {
    const semicolon = segment.indexOf(";");
    const name = semicolon === -1 ? segment : segment.slice(0, semicolon);
    if (name !== "." && name !== "..") {
      kept.push(segment);
      return;
    }
    if (name === "..") kept.pop();
    // A path that ends in a dot segment names a directory.
    if (index === segments.length - 1) kept.push("");
  });
  return `/${kept.join("/")}`;
}
