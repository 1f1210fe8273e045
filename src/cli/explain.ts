//! `graylane explain`: which way would this request go, and why? Nothing is sent upstream.

import { stringify } from "yaml";
import ipaddr from "ipaddr.js";
import type { ExplainedHop, ExplainedPlugin, ExplainRequest, ExplainResult } from "../api/types.ts";
import { compile } from "../compile/compile.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";
import { printMessages } from "./messages.ts";
import { withPlannedPods } from "./planned-pods.ts";

export interface ExplainOptions {
  readonly header: readonly string[];
  readonly method?: string;
  readonly data?: string;
  readonly output?: string;
  /** Files in the place of the server. */
  readonly filename: readonly string[];
  readonly clientAddress?: string;
  readonly recent?: boolean;
  readonly requestId?: string;
  readonly where: readonly string[];
  readonly limit: string;
}

export async function explain(
  context: Context,
  url: string | undefined,
  options: ExplainOptions,
): Promise<number> {
  if (url === undefined) {
    throw usageError("no URL is named", "Write http://HOST[:PORT]/PATH, or --recent.");
  }
  if (options.where.length > 0) {
    throw usageError("--where needs --recent", "Write explain --recent --where FIELD=VALUE.");
  }
  const request = requestOf(url, options);
  const { output } = options;
  if (output !== undefined && output !== "json" && output !== "yaml") {
    throw usageError(`-o ${output}: not a format of explain`, "Use -o json or -o yaml.");
  }
  const result =
    options.filename.length > 0
      ? await explainOffline(context, options.filename, request)
      : await (await connect(context)).explain(request);
  if (output === "json") context.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else if (output === "yaml") context.stdout.write(stringify(result));
  else context.stdout.write(formatExplain(result));
  return 0;
}

function requestOf(url: string, options: ExplainOptions): ExplainRequest {
  const { data, clientAddress } = options;
  if (clientAddress !== undefined && !isAddress(clientAddress)) {
    throw usageError(`--client-address ${clientAddress}: not an IP address`);
  }
  const method = options.method ?? (data === undefined ? "GET" : "POST");
  const headers = options.header.map(parseHeader);
  return {
    method: method.toUpperCase(),
    url: parseUrl(url),
    ...(data === undefined ? { headers } : { headers: withType(headers), body: data }),
    ...(clientAddress === undefined ? {} : { remoteAddress: clientAddress }),
  };
}

/** By a gateway of the files' objects, as if nothing else were applied. */
async function explainOffline(
  context: Context,
  files: readonly string[],
  request: ExplainRequest,
): Promise<ExplainResult> {
  const { resources: objects, faults } = await readManifests(context, files);
  printMessages(context.stderr, faults);
  const resources = withPlannedPods(objects);
  const modules = await context.resolveModules(resources, null);
  const { snapshot } = compile({ resources, modules, nowMs: context.clock.nowMs() });
  const gateway = await context.offlineGateway(snapshot);
  try {
    const result = await gateway.explain(request, 0);
    if (result !== null) return result;
    throw new CliError("no gateway of the files listens anywhere", "Name the Gateway's file too.");
  } finally {
    gateway.close();
  }
}

function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** Curl's habits: a host without scheme is http. */
function parseUrl(text: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) throw usageError(`${text}: not a URL`, "Write http://HOST[:PORT]/PATH.");
  const { protocol } = new URL(url);
  if (protocol !== "http:") {
    throw usageError(`${text}: the scheme ${protocol} is not served`, "Use http://.");
  }
  return url;
}

/** As curl: what is sent is a form unless a header says otherwise. */
function withType(headers: ExplainRequest["headers"]): ExplainRequest["headers"] {
  if (headers.some(([name]) => name === "content-type")) return headers;
  return [...headers, ["content-type", "application/x-www-form-urlencoded"]];
}

function parseHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(":");
  const name = text.slice(0, Math.max(colon, 0)).trim();
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    throw usageError(`--header ${text}: no header name`, "Write it as in --header 'name: value'.");
  }
  return [name.toLowerCase(), text.slice(colon + 1).trim()];
}

/** The text for people: from the gateway's door to the last service. */
export function formatExplain(result: ExplainResult): string {
  const lines = [`Gateway:   ${result.gateway} (port ${result.listenerPort})`];
  for (const plugin of result.plugins) lines.push(...pluginLines(plugin));
  lines.push(...routeLines(result), ...decisionLines(result));
  if (result.localReply !== null) {
    const { status, body } = result.localReply;
    // The reasons why no route matched stand above.
    const text = result.noMatch.length > 0 ? (body.split("\n", 1)[0] ?? "") : body.trimEnd();
    lines.push(`Answer:    ${status} from the gateway itself`, ...indent(text));
  }
  if (result.hops.length > 0) lines.push("Services:", ...result.hops.flatMap(hopLines));
  lines.push(`Snapshot:  ${result.snapshotVersion}`);
  return `${lines.join("\n")}\n`;
}

function pluginLines(plugin: ExplainedPlugin): string[] {
  const lines = [`Plug-in:   ${plugin.name} (${plugin.action})`];
  for (const reason of plugin.reasons) {
    const text = isRecord(reason) ? formatReason(reason) : String(reason);
    lines.push(`           ${text}`);
  }
  for (const call of plugin.suppressed) lines.push(`           not run by explain: ${call}`);
  return lines;
}

/** `rule: 0, header: x-user-id, hash: fnv1a32, bucket: 2, limit: 20, …`, whatever it reports. */
function formatReason(reason: Readonly<Record<string, unknown>>): string {
  return Object.entries(reason)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

function routeLines(result: ExplainResult): string[] {
  const { route } = result;
  if (route === null) {
    const why = result.noMatch.map((line) => `           ${line}`);
    return ["Route:     none matched", ...why];
  }
  const label = route.label === "" ? "" : ` (${route.label})`;
  return [
    `Route:     ${route.id}${label} of ${route.source}`,
    ...(route.destination === null ? [] : [`           to ${route.destination}`]),
  ];
}

function decisionLines({ decision }: ExplainResult): string[] {
  if (decision === null) return ["Lane:      none: no lane group takes this request"];
  const lane = decision.lane ?? "baseline";
  const detail = decision.detail === "" ? "" : `: ${decision.detail}`;
  return [`Lane:      ${lane} of ${decision.group} (reason ${decision.reason}${detail})`];
}

function hopLines(hop: ExplainedHop): string[] {
  const served = hop.servedLane ?? "baseline";
  const wanted = hop.wantedLane ?? "baseline";
  const which = served === wanted ? served : `${served} instead of ${wanted}`;
  const pods = hop.pods.map(({ name, address }) => `    ${name}  ${address}`);
  return [
    `  ${hop.service}: ${which} (${hop.reason})`,
    ...(pods.length === 0 ? ["    no pod is ready"] : pods),
    ...(hop.meshRoutes ?? []).map(
      (name) => `    calls of pods follow ${name}: it may lead elsewhere`,
    ),
  ];
}

function indent(text: string): string[] {
  return text.split("\n").map((line) => `           ${line}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
