//! How a Kubernetes API server is reached: a kubeconfig file, or what a Pod finds in itself.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>,
//! <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { member } from "../../resources/kinds/member.ts";

export interface ClusterAccess {
  readonly server: URL;
  /** PEM; absent: the machine's authorities. */
  readonly ca?: string;
  readonly serverName?: string;
  /** PEM, both or none. */
  readonly cert?: string;
  readonly key?: string;
  /** Read for each request: a file of a Pod's is renewed. Null: none is sent. */
  readonly token: () => string | null;
  /** Of the context; absent: it names none. */
  readonly namespace?: string;
}

export class KubeconfigError extends Error {
  override readonly name = "KubeconfigError";
}

const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Throws a `KubeconfigError` that names the field. */
export function readKubeconfig(path: string, contextName: string | null): ClusterAccess {
  const text = readText(path, "the file");
  let config: unknown;
  try {
    config = parse(text);
  } catch (error) {
    // The library's message has the line, the column and the place itself.
    throw new KubeconfigError(error instanceof Error ? error.message : String(error));
  }
  const wanted = contextName ?? textOf(config, "current-context");
  if (wanted === undefined || wanted === "") {
    throw new KubeconfigError("current-context is empty: name a context with --context");
  }
  const context = named(config, "contexts", "context", wanted);
  const cluster = named(config, "clusters", "cluster", demand(context, "cluster", wanted));
  const user = named(config, "users", "user", demand(context, "user", wanted));
  return accessOf({ context, cluster, user, folder: dirname(resolve(path)) });
}

/** Of the Pod that this process runs in. Throws a `KubeconfigError` when it runs in none. */
export function inClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder: string = ACCOUNT_FOLDER,
): ClusterAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = env;
  if (host === undefined || host === "") {
    throw new KubeconfigError("this is no Pod of a cluster: name a file with --kubeconfig");
  }
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    server: new URL(`https://${name}:${port}`),
    ca: readText(`${folder}/ca.crt`, "the service account's ca.crt"),
    token: () => readText(`${folder}/token`, "the service account's token").trim(),
    namespace: readText(`${folder}/namespace`, "the service account's namespace").trim(),
  };
}

interface Parts {
  readonly context: unknown;
  readonly cluster: unknown;
  readonly user: unknown;
  /** Relative paths begin here. */
  readonly folder: string;
}

/** Fields that are refused, with what to use instead; a flag that is false is as good as none. */
const USER_REMEDY = "use a token, a tokenFile or a client certificate";
const UNSUPPORTED = {
  user: { exec: USER_REMEDY, "auth-provider": USER_REMEDY, username: USER_REMEDY },
  cluster: {
    "proxy-url": "reach the server directly",
    "insecure-skip-tls-verify": "name certificate-authority-data",
  },
} as const;

function accessOf({ context, cluster, user, folder }: Parts): ClusterAccess {
  refuse(user, "user", UNSUPPORTED.user);
  refuse(cluster, "cluster", UNSUPPORTED.cluster);
  const server = textOf(cluster, "server") ?? "";
  if (!/^https?:\/\//.test(server) || !URL.canParse(server)) {
    throw new KubeconfigError(`clusters[].cluster.server: ${server || "nothing"} is no URL`);
  }
  return {
    server: new URL(server),
    ...given("ca", pemOf(cluster, "certificate-authority", folder)),
    ...pairOf(user, folder),
    ...given("serverName", textOf(cluster, "tls-server-name")),
    ...given("namespace", textOf(context, "namespace")),
    token: tokenOf(user, folder),
  };
}

function refuse(from: unknown, part: string, fields: Readonly<Record<string, string>>): void {
  for (const [field, remedy] of Object.entries(fields)) {
    const value = member(from, field);
    if (value === undefined || value === false) continue;
    throw new KubeconfigError(`${part}s[].${part}.${field} is not supported: ${remedy}`);
  }
}

function pairOf(user: unknown, folder: string): Pick<ClusterAccess, "cert" | "key"> {
  const cert = pemOf(user, "client-certificate", folder);
  const key = pemOf(user, "client-key", folder);
  if (cert === undefined && key === undefined) return {};
  if (cert !== undefined && key !== undefined) return { cert, key };
  throw new KubeconfigError("users[].user needs client-certificate and client-key together");
}

/** The data goes before the file, as in kubectl. */
function pemOf(from: unknown, field: string, folder: string): string | undefined {
  const data = textOf(from, `${field}-data`);
  if (data !== undefined) return Buffer.from(data, "base64").toString();
  const file = textOf(from, field);
  return file === undefined ? undefined : readText(resolve(folder, file), field);
}

function given<Name extends string>(
  name: Name,
  value: string | undefined,
): Readonly<Partial<Record<Name, string>>> {
  const fields = value === undefined ? {} : { [name]: value };
  return fields as Readonly<Partial<Record<Name, string>>>;
}

/** As kubectl: the file goes before the text. */
function tokenOf(user: unknown, folder: string): () => string | null {
  const file = textOf(user, "tokenFile");
  if (file !== undefined) {
    const path = resolve(folder, file);
    return () => readText(path, "tokenFile").trim();
  }
  const token = textOf(user, "token") ?? null;
  return () => token;
}

function named(config: unknown, list: string, part: string, name: string): unknown {
  const entries = member(config, list);
  const all = Array.isArray(entries) ? (entries as readonly unknown[]) : [];
  const found = all.find((entry) => member(entry, "name") === name);
  if (found === undefined) throw new KubeconfigError(`${list} has no entry with the name ${name}`);
  return member(found, part);
}

function demand(context: unknown, field: string, name: string): string {
  const text = textOf(context, field);
  if (text !== undefined) return text;
  throw new KubeconfigError(`contexts[].context of ${name} names no ${field}`);
}

function textOf(from: unknown, field: string): string | undefined {
  const value = member(from, field);
  return typeof value === "string" ? value : undefined;
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KubeconfigError(`${what} cannot be read: ${reason}`);
  }
}
