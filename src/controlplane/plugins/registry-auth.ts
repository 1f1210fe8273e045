//! Credentials for a registry: what a pull secret holds, and what a registry asks for.

/** A user and a password, or a token that is sent as it is. */
export type Credential =
  | { readonly kind: "basic"; readonly user: string; readonly password: string }
  | { readonly kind: "token"; readonly token: string };

/** Names under which tools keep Docker Hub's credentials. */
const DOCKER_HUB_NAMES = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/**
 * The credential that a `.dockerconfigjson` has for a registry (`host` or `host:port`). A text is
 * what is wrong with the file; null: it has none for this registry.
 */
export function credentialFor(json: string, registry: string): Credential | string | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return "it is not JSON";
  }
  const auths = field(parsed, "auths");
  if (typeof auths !== "object" || auths === null) return "it has no object named auths";
  const names = DOCKER_HUB_NAMES.includes(registry) ? DOCKER_HUB_NAMES : [registry];
  for (const [key, entry] of Object.entries(auths)) {
    if (names.includes(hostOf(key))) return credentialOf(entry) ?? `its entry ${key} has no auth`;
  }
  return null;
}

/** `https://host/v1/` and `host` name the same registry. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
}

function credentialOf(entry: unknown): Credential | null {
  const token = field(entry, "registrytoken");
  if (typeof token === "string" && token !== "") return { kind: "token", token };
  const user = field(entry, "username");
  const password = field(entry, "password");
  if (typeof user === "string" && user !== "" && typeof password === "string") {
    return { kind: "basic", user, password };
  }
  const auth = field(entry, "auth");
  if (typeof auth !== "string") return null;
  const pair = Buffer.from(auth, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 1) return null;
  return { kind: "basic", user: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

export function basicHeader({ user, password }: Credential & { kind: "basic" }): string {
  return `Basic ${Buffer.from(`${user}:${password}`, "utf8").toString("base64")}`;
}

/** A `WWW-Authenticate` header (RFC 9110, 11.6.1): its scheme in lower case and its parameters. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The first challenge of the header. */
export function parseChallenge(header: string): Challenge {
  const [, scheme = "", rest = ""] = /^\s*([A-Za-z]+)\s*([^]*)$/.exec(header) ?? [];
  const parameters: Record<string, string> = {};
  for (const [, key = "", quoted, plain] of rest.matchAll(/([a-z]+)=(?:"([^"]*)"|([^\s,"]+))/gi)) {
    parameters[key.toLowerCase()] = quoted ?? plain ?? "";
  }
  return { scheme: scheme.toLowerCase(), parameters };
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}
