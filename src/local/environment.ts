//! The environment of an app: the container's own variables, and where to listen and to call.

import { dirname } from "node:path";
import type { PodAddress } from "./address-pool.ts";
import type { LaunchFault } from "./command.ts";
import type { Container, EnvSource, EnvVar } from "./manifest.ts";

/** All that an app inherits of our own environment. A container would inherit nothing. */
const INHERITED = [
  "PATH",
  "HOME",
  "USER",
  "SHELL",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "JAVA_HOME",
  "GOPATH",
  "VIRTUAL_ENV",
  "PYENV_ROOT",
  "NVM_DIR",
] as const;

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Data of a ConfigMap, or of a Secret already decoded; null when there is no such object. */
export type DataLookup = (
  kind: "ConfigMap" | "Secret",
  name: string,
) => Promise<Readonly<Record<string, string>> | null>;

export interface EnvironmentContext {
  readonly pod: PodIdentity;
  readonly address: PodAddress;
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  readonly agentUrl: string | null;
  /** The list of endpoints for agents of pods without a sidecar. */
  readonly endpointFile: string;
  readonly lookup: DataLookup;
}

type Variables = Readonly<Record<string, string>>;

export interface Environment {
  readonly kind: "environment";
  readonly env: Variables;
  /** Replaces `$(NAME)` in an argument. */
  expand(text: string): string;
}

/**
 * `PATH` for apps: ours, and at its end the directory of our Node, so that `node` is always
 * there.
 */
export function pathOf(hostEnv: Readonly<Record<string, string | undefined>>): string {
  return `${hostEnv["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}:${dirname(process.execPath)}`;
}

/**
 * Builds the environment. `defaults` come from the image map. What tells the app where to listen
 * and through whom to call wins over the container's own variables: it was written for another
 * machine.
 */
export async function buildEnvironment(
  container: Container,
  defaults: readonly EnvVar[],
  context: EnvironmentContext,
): Promise<Environment | LaunchFault> {
  const env: Record<string, string> = inherited(context);
  const fixed = fixedVariables(container, context);
  // Known from the start, so that a value may refer to $(POD_IP) or $(PORT).
  Object.assign(env, fixed);
  const fault =
    (await addEnvFrom(env, container, context)) ??
    (await addVariables(env, [...defaults, ...container.env], context));
  if (fault !== null) return fault;

  const nodeOptions = env["NODE_OPTIONS"];
  const javaOptions = env["JAVA_TOOL_OPTIONS"];
  Object.assign(env, fixed);
  const javaWords = [javaOptions, javaProxyOptions(context)].filter(Boolean).join(" ");
  if (javaWords !== "") env["JAVA_TOOL_OPTIONS"] = javaWords;
  if (context.agentUrl !== null) {
    env["NODE_OPTIONS"] = [nodeOptions, `--import=${context.agentUrl}`].filter(Boolean).join(" ");
  }
  return { kind: "environment", env, expand: (text) => expand(text, env) };
}

function inherited(context: EnvironmentContext): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = context.hostEnv[name];
    if (value !== undefined) env[name] = value;
  }
  env["PATH"] = pathOf(context.hostEnv);
  env["HOSTNAME"] = context.pod.name;
  // A pipe makes Python keep its output back, and with it the log.
  env["PYTHONUNBUFFERED"] = "1";
  return env;
}

function fixedVariables(container: Container, context: EnvironmentContext): Variables {
  const { pod, address } = context;
  const env: Record<string, string> = {
    POD_IP: address.podIp,
    POD_NAME: pod.name,
    POD_NAMESPACE: pod.namespace,
    ...wayOut(context),
  };
  for (const [index, containerPort] of container.ports.entries()) {
    const inbound = address.inbound.find((each) => each.containerPort === containerPort);
    if (inbound === undefined) continue;
    const port = String(inbound.appPort);
    env[`PORT_${containerPort}`] = port;
    if (index > 0) continue;
    env["HOST"] = env["SERVER_ADDRESS"] = inbound.appAddress;
    env["PORT"] = env["SERVER_PORT"] = port;
  }
  return env;
}

/** How the app's calls find their endpoints. */
function wayOut({ address: { outbound }, endpointFile }: EnvironmentContext): Variables {
  if (outbound === null) return { GRAYLANE_AGENT_ENDPOINTS: endpointFile };
  const authority = `${outbound.address}:${outbound.port}`;
  const proxy = `http://${authority}`;
  return {
    http_proxy: proxy,
    HTTP_PROXY: proxy,
    no_proxy: "",
    NO_PROXY: "",
    GRAYLANE_OUTBOUND: authority,
  };
}

/** Java's HTTP clients ignore the proxy variables; its own ports an app calls directly. */
function javaProxyOptions({ address: { outbound } }: EnvironmentContext): string {
  if (outbound === null) return "";
  const direct = "localhost|127.0.0.1|[::1]";
  return [
    `-Dhttp.proxyHost=${outbound.address}`,
    `-Dhttp.proxyPort=${outbound.port}`,
    `-Dhttp.nonProxyHosts=${direct}`,
  ].join(" ");
}

async function addEnvFrom(
  env: Record<string, string>,
  container: Container,
  context: EnvironmentContext,
): Promise<LaunchFault | null> {
  for (const { kind, name, prefix, optional } of container.envFrom) {
    const data = await context.lookup(kind, name);
    if (data === null && !optional) return missing(`${kind} ${name}`, container.name);
    for (const [key, value] of Object.entries(data ?? {})) env[`${prefix}${key}`] = value;
  }
  return null;
}

async function addVariables(
  env: Record<string, string>,
  variables: readonly EnvVar[],
  context: EnvironmentContext,
): Promise<LaunchFault | null> {
  for (const { name, value, source } of variables) {
    if (name === "") continue;
    if (source === null) {
      env[name] = expand(value, env);
      continue;
    }
    const found = await valueFrom(source, context);
    if (typeof found === "object" && found !== null) {
      return { ...found, message: `variable ${name}: ${found.message}` };
    }
    if (found !== null) env[name] = found;
  }
  return null;
}

/** The value, null when an optional source is missing, or a fault. */
async function valueFrom(
  source: EnvSource,
  context: EnvironmentContext,
): Promise<string | null | LaunchFault> {
  switch (source.kind) {
    case "field":
      return fieldValue(source.path, context) ?? missing(`field ${source.path}`, "fieldRef");
    case "unsupported":
      return missing(`source ${source.field}`, "valueFrom");
    case "ConfigMap":
    case "Secret": {
      const value = (await context.lookup(source.kind, source.name))?.[source.key];
      if (value !== undefined) return value;
      return source.optional ? null : missing(`${source.kind} ${source.name}`, source.key);
    }
  }
}

/** Kubernetes' downward API: the fields that have a meaning here. A missing label is empty. */
function fieldValue(path: string, context: EnvironmentContext): string | undefined {
  const { pod, address } = context;
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) {
    const map = keyed[1] === "labels" ? pod.labels : pod.annotations;
    return map[keyed[2] ?? ""] ?? "";
  }
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": pod.name,
    "metadata.namespace": pod.namespace,
    "metadata.uid": pod.uid,
    "spec.nodeName": "local",
    "spec.serviceAccountName": "default",
    "status.hostIP": "127.0.0.1",
    "status.podIP": address.podIp,
    "status.podIPs": address.podIp,
  };
  return fields[path];
}

function missing(what: string, where: string): LaunchFault {
  return {
    kind: "fault",
    code: "GL0505",
    reason: "CreateContainerConfigError",
    message: `${what} (${where}) is not known here; apply it, or mark it optional`,
  };
}

/** Kubernetes' `$(NAME)`: replaced when NAME is set before, else kept; `$$` is one dollar sign. */
export function expand(text: string, env: Variables): string {
  return text.replace(/\$\$|\$\(([^()]+)\)/g, (found, name: string | undefined) =>
    name === undefined ? "$" : (env[name] ?? found),
  );
}
