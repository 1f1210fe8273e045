//! `graylane proxy-config`: what an Envoy, or the embedded gateway, has been told.

import { stringify } from "yaml";
import { usageError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { formatTable } from "./table.ts";

export interface ProxyConfigOptions {
  readonly output?: string;
}

/** Who serves without any Envoy. */
const EMBEDDED = "embedded";
const FORMATS = ["json", "yaml"] as const;

type Members = Readonly<Record<string, unknown>>;

interface Type {
  /** The end of the section's `@type`. */
  readonly dump: string;
  readonly list: string;
  readonly field: string;
  readonly header: readonly string[];
  readonly rows: (resource: Members) => readonly (readonly string[])[];
}

const TYPES: Readonly<Record<string, Type>> = {
  cluster: {
    ...{ dump: "ClustersConfigDump", list: "dynamic_active_clusters", field: "cluster" },
    header: ["NAME", "TYPE", "LB POLICY"],
    rows: (cluster) => [[text(cluster["name"]), text(cluster["type"]), text(cluster["lb_policy"])]],
  },
  ecds: {
    ...{ dump: "EcdsConfigDump", list: "ecds_filters", field: "ecds_filter" },
    header: ["NAME", "MODULE", "FAILURE", "CONFIGURATION"],
    rows: (filter) => [pluginRow(filter)],
  },
  endpoint: {
    ...{ dump: "EndpointsConfigDump", list: "dynamic_endpoint_configs", field: "endpoint_config" },
    header: ["ENDPOINT", "CLUSTER"],
    rows: endpointRows,
  },
  listener: {
    ...{ dump: "ListenersConfigDump", list: "dynamic_listeners", field: "listener" },
    header: ["NAME", "ADDRESS", "PORT"],
    rows: listenerRows,
  },
  route: {
    ...{ dump: "RoutesConfigDump", list: "dynamic_route_configs", field: "route_config" },
    header: ["TABLE", "DOMAINS", "MATCH", "ROUTE"],
    rows: routeRows,
  },
};

/** Of each plug-in: what it is, its module, and what it is told. */
function pluginRow(filter: Members): string[] {
  const config = at(filter, "typed_config", "config");
  const { local, remote } = at(config, "vm_config", "code");
  const uri = text(at(remote, "http_uri")["uri"]);
  const module = text(membersOf(local)["filename"]) || uri;
  const failMode = text(config["failure_policy"]);
  const configuration = text(membersOf(config["configuration"])["value"]);
  return [text(filter["name"]), module.slice(module.lastIndexOf("/") + 1), failMode, configuration];
}

export async function proxyConfig(
  context: Context,
  [word, node = EMBEDDED]: readonly [type: string, node?: string | undefined],
  { output }: ProxyConfigOptions,
): Promise<number> {
  const type = TYPES[word] ?? TYPES[word.replace(/s$/, "")];
  if (type === undefined && word !== "all") {
    throw usageError(`${word} is none of ${Object.keys(TYPES).join(", ")}, all`);
  }
  if (output !== undefined && !FORMATS.some((format) => format === output)) {
    throw usageError(`-o ${output} is none of ${FORMATS.join(", ")}`);
  }
  const { configs } = await (await connect(context)).configDump(node);
  const shown = type === undefined ? { configs } : resourcesOf(configs, type);
  if (output === "yaml") context.stdout.write(stringify(shown));
  else if (output === "json" || type === undefined) {
    printLine(context.stdout, JSON.stringify(shown, null, 2));
  } else {
    const rows = resourcesOf(configs, type).flatMap((resource) => type.rows(resource));
    context.stdout.write(formatTable(type.header, rows));
  }
  sayOmitted(context, configs);
  return 0;
}

/** What Envoy cannot do is in no resource: it is said beside them. */
function sayOmitted(context: Context, configs: readonly Members[]): void {
  const bootstrap = at(configs[0], "bootstrap", "node", "metadata", "graylane");
  for (const line of listOf(bootstrap["omitted"])) {
    printLine(context.stderr, `not in it: ${text(line)}`);
  }
}

function resourcesOf(configs: readonly Members[], { dump, list, field }: Type): Members[] {
  const section = configs.find(({ "@type": name }) => text(name).endsWith(`.${dump}`)) ?? {};
  return listOf(section[list]).flatMap((entry) => {
    const config = membersOf(entry);
    const state = config["active_state"] === undefined ? config : at(config, "active_state");
    return state[field] === undefined ? [] : [membersOf(state[field])];
  });
}

function listenerRows(listener: Members): string[][] {
  const socket = at(listener, "address", "socket_address");
  return [[text(listener["name"]), text(socket["address"]), text(socket["port_value"])]];
}

function endpointRows(assignment: Members): string[][] {
  return listOf(assignment["endpoints"]).flatMap((locality) =>
    listOf(membersOf(locality)["lb_endpoints"]).map((endpoint) => {
      const address = at(endpoint, "endpoint", "address");
      const { address: host, port_value: port } = at(address, "socket_address");
      const path = at(address, "pipe")["path"];
      const where = path === undefined ? `${text(host)}:${text(port)}` : `unix://${text(path)}`;
      return [where, text(assignment["cluster_name"])];
    }),
  );
}

function routeRows(table: Members): string[][] {
  return listOf(table["virtual_hosts"]).flatMap((entry) => {
    const host = membersOf(entry);
    const domains = listOf(host["domains"]).map(text).join(",");
    return listOf(host["routes"]).map((route) => [
      ...[text(table["name"]), domains, matchText(at(route, "match"))],
      text(membersOf(route)["name"]),
    ]);
  });
}

/** How the path is matched; `*` behind it where more than the path counts. */
function matchText(match: Members): string {
  const { prefix, path, path_separated_prefix: segments, safe_regex: regex, ...others } = match;
  const pattern = regex === undefined ? text(path ?? segments) : text(membersOf(regex)["regex"]);
  const shown = prefix === undefined ? pattern : `${text(prefix)}*`;
  const conditions = Object.keys(others).filter((name) => Array.isArray(others[name]));
  return [shown, ...conditions.map((name) => `+${name}`)].join(" ");
}

/** The members at the end of a path of names; none where it breaks off. */
function at(value: unknown, ...names: readonly string[]): Members {
  return names.reduce((members, name) => membersOf(members[name]), membersOf(value));
}

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null ? (value as Members) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
