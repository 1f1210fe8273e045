//! Ingresses to virtual hosts: exact paths first, then the longest prefix, whichever Ingress
//! they are of; a canary's routes stand before those of the path that it is a canary of.

import type { Ingress, IngressBackend, IngressPath } from "../resources/kinds/ingress.ts";
import type { Gateway as GatewayResource } from "../resources/kinds/gateway.ts";
import { refOf } from "../resources/object.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type {
  Cluster,
  Route,
  RouteMatch,
  RouteTable,
  StringMatch,
  Target,
  VirtualHost,
  WeightedDestination,
} from "../snapshot/snapshot.ts";
import type { Mirror } from "../snapshot/routing.ts";
import { routeTableName, selectorName } from "./gateway.ts";
import { Annotations, readOptions, reportAnnotations } from "./ingress-annotations.ts";
import type { IngressOptions } from "./ingress-annotations.ts";
import { canaryOf } from "./ingress-canary.ts";
import type { Canary } from "./ingress-canary.ts";
import { cookieMatches, KEPT_OUT_APART_MAX, keptOut, notApart } from "./ingress-kept-out.ts";
import { policyOf } from "./ingress-policy.ts";
import { HTTPS_PORT, optionsInClear, secureGateways } from "./ingress-tls.ts";
import { destinationsOf, mirrorsOf } from "./ingress-targets.ts";
import type { Weighted } from "./ingress-targets.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import type { ServiceClusters, ServiceMap } from "./service.ts";

const HTTP_PORT = 80;
const FOUND = 302;
const PPM_TOTAL = 1_000_000;
/** What a gateway of the class `istio` is selected by, and one of any other (Higress' own). */
const ISTIO_SELECTOR = { istio: "ingressgateway" };
const OTHER_SELECTOR = { app: "higress-gateway", higress: "higress-system-higress-gateway" };

/** Of what goes elsewhere by annotations. */
const NO_TARGET: Target = { kind: "missing", message: "" };

/** One path of one Ingress. */
interface PathRule {
  readonly ingress: Ingress;
  readonly canary: Canary | null;
  readonly domain: string;
  readonly path: string;
  readonly isExact: boolean;
  readonly target: Target;
  readonly options: IngressOptions;
  /** In the place of `target`; null: that one. */
  readonly destinations: readonly Weighted[] | null;
  readonly mirrors: readonly Mirror[];
  /** `Route.id` and the messages' path. */
  readonly place: string;
}

interface IngressScope {
  readonly services: ServiceMap;
  readonly messages: MessageList;
}

/** The Gateway resources that the Ingresses imply: one for each selector in use. */
export function impliedGateways(ingresses: readonly Ingress[]): GatewayResource[] {
  const selectors = new Map(
    ingresses.map((ingress) => [selectorName(selectorOf(ingress)), selectorOf(ingress)]),
  );
  const inClear = [...selectors].map(([name, selector]) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    // No object has this name, so that no VirtualService can be bound to it.
    metadata: { name: `ingress/${name}`, namespace: "" },
    spec: {
      selector,
      servers: [
        { port: { number: HTTP_PORT, name: "http", protocol: "HTTP" as const }, hosts: ["*"] },
      ],
    },
  }));
  return [...inClear, ...secureGateways(ingresses, selectorOf)];
}

function selectorOf({ spec }: Ingress): Readonly<Record<string, string>> {
  return spec.ingressClassName === "istio" ? ISTIO_SELECTOR : OTHER_SELECTOR;
}

/** Adds the Ingresses' virtual hosts to the tables; VirtualServices' hosts keep the first word. */
export function addIngressRoutes(
  tables: Readonly<Record<string, RouteTable>>,
  ingresses: readonly Ingress[],
  scope: IngressScope,
): Record<string, RouteTable> {
  const result = { ...tables };
  const byTable = new Map<string, PathRule[]>();
  const add = (name: string, rules: readonly PathRule[]): void => {
    byTable.set(name, [...(byTable.get(name) ?? []), ...rules]);
  };
  for (const ingress of ingresses) {
    const gateway = selectorName(selectorOf(ingress));
    const rules = rulesOf(ingress, scope);
    const inClear = rules.map((rule) => ({
      ...rule,
      options: optionsInClear(ingress, rule.domain, rule.options),
    }));
    add(routeTableName(gateway, HTTP_PORT), inClear);
    const secure = routeTableName(gateway, HTTPS_PORT);
    if (tables[secure] !== undefined) add(secure, rules);
  }
  for (const [name, rules] of byTable) {
    const hosts = hostsOf(rules, scope.messages);
    const old = tables[name]?.virtualHosts ?? [];
    result[name] = { name, virtualHosts: mergedHosts(old, hosts) };
  }
  return result;
}

function rulesOf(ingress: Ingress, scope: IngressScope): PathRule[] {
  const { defaultBackend, rules = [] } = ingress.spec;
  reportAnnotations(ingress, scope.messages);
  const canary = canaryOf(ingress, scope.messages);
  const annotations = new Annotations(ingress, scope.messages);
  const options = readOptions(annotations, pathsOf(ingress));
  const destinations = destinationsOf(ingress, annotations, scope.services);
  const mirrors = mirrorsOf(ingress, annotations, scope.services);
  const asked = { ingress, canary, options, destinations, mirrors };
  const found: PathRule[] = [];
  const make = (domain: string, entry: IngressPath, place: string): void => {
    const isAsked = destinations === null && options.redirect === null;
    const target = isAsked ? targetOf(ingress, entry.backend, place, scope) : NO_TARGET;
    const { path = "/" } = entry;
    const isExact = entry.pathType === "Exact";
    found.push({ ...asked, domain, path, isExact, target, place });
  };
  rules.forEach(({ host = "*", http }, ruleIndex) => {
    http?.paths.forEach((entry, index) => {
      make(host.toLowerCase(), entry, `spec.rules[${ruleIndex}].http.paths[${index}]`);
    });
  });
  if (defaultBackend !== undefined) {
    const entry = { path: "/", pathType: "Prefix" as const, backend: defaultBackend };
    const hosts = rules.length === 0 ? ["*"] : rules.map(({ host = "*" }) => host.toLowerCase());
    for (const host of new Set(hosts)) {
      const isTaken = found.some(({ domain, path }) => domain === host && path === "/");
      if (!isTaken) make(host, entry, "spec.defaultBackend");
    }
  }
  return canary === null ? [...found, ...appRootsOf(found)] : found;
}

/** `/` alone goes elsewhere, unless a path says what becomes of it. */
function appRootsOf(found: readonly PathRule[]): PathRule[] {
  const [first] = found;
  const path = first?.options.appRoot ?? null;
  if (path === null) return [];
  const redirect = { kind: "redirect", status: FOUND, path } as const;
  const byDomain = new Map(found.map((rule) => [rule.domain, rule]));
  const hasOwn = found.filter((rule) => rule.isExact && rule.path === "/");
  return [...byDomain.values()]
    .filter(({ domain }) => !hasOwn.some((rule) => rule.domain === domain))
    .map((rule) => ({
      ...rule,
      ...{ path: "/", isExact: true, place: "spec.appRoot" },
      options: { ...rule.options, redirect },
    }));
}

/** Those that may be regular expressions. */
function pathsOf({ spec: { rules = [] } }: Ingress): string[] {
  return rules.flatMap(({ http }) =>
    (http?.paths ?? []).flatMap(({ path = "/", pathType }) => (pathType === "Exact" ? [] : [path])),
  );
}

function targetOf(
  ingress: Ingress,
  { service }: IngressBackend,
  place: string,
  { services, messages }: IngressScope,
): Target {
  const { name = "", port = {} } = service ?? {};
  const key = `${namespaceOf(ingress)}/${name}`;
  const found = services.get(key);
  const cluster = found === undefined ? undefined : clusterAt(found, port);
  if (cluster !== undefined) return { kind: "cluster", cluster: cluster.name, subset: null };
  const fault = found === undefined ? missingService(name, key) : missingPort(key, port);
  const path = place.startsWith("spec.default") ? place : `${place}.backend`;
  messages.add(ingress, {
    severity: "error",
    code: fault.code,
    path: `${path}.service.${fault.field}`,
    message: `${fault.message}: requests that take the path answer 503`,
    remedy: fault.remedy,
  });
  return { kind: "missing", message: fault.message };
}

interface BackendFault {
  readonly code: string;
  readonly field: "name" | "port";
  readonly message: string;
  readonly remedy: string;
}

function missingService(name: string, key: string): BackendFault {
  return {
    code: "GL0201",
    field: "name",
    message: name === "" ? "no Service is named" : `no Service is ${key}`,
    remedy: "Correct the name, or apply the Service.",
  };
}

function missingPort(key: string, { number, name }: BackendPort): BackendFault {
  return {
    code: "GL0202",
    field: "port",
    message: `the Service ${key} has no TCP port ${String(number ?? name ?? "")}`.trimEnd(),
    remedy: "Write the number or name of one of the Service's ports.",
  };
}

interface BackendPort {
  readonly number?: number;
  readonly name?: string;
}

/** A backend that names no port means the only one. */
function clusterAt(
  { service, clusters }: ServiceClusters,
  { number, name }: BackendPort,
): Cluster | undefined {
  if (number === undefined && name === undefined) {
    return clusters.length === 1 ? clusters[0] : undefined;
  }
  const wanted = number ?? service.spec.ports?.find((port) => port.name === name)?.port;
  return clusters.find(({ port }) => port === wanted);
}

/** Virtual hosts in the order of their names. */
function hostsOf(rules: readonly PathRule[], messages: MessageList): VirtualHost[] {
  const byDomain = new Map<string, PathRule[]>();
  for (const rule of rules) {
    byDomain.set(rule.domain, [...(byDomain.get(rule.domain) ?? []), rule]);
  }
  return [...byDomain]
    .sort(([a], [b]) => compareTexts(a, b))
    .map(([domain, own]) => ({ domains: [domain], routes: routesOf(own, messages) }))
    .filter(({ routes }) => routes.length > 0);
}

function routesOf(rules: readonly PathRule[], messages: MessageList): Route[] {
  const byPath = new Map<string, PathRule[]>();
  for (const rule of rules) {
    const kind = rule.isExact ? "=" : rule.options.isRegex ? "^" : "~";
    const path = kind === "~" ? trimmed(rule.path) : rule.path;
    const key = `${kind}${path} ${JSON.stringify(rule.options.conditions)}`;
    byPath.set(key, [...(byPath.get(key) ?? []), rule]);
  }
  const paths = [...byPath.values()].sort(byPrecedence);
  return paths.flatMap((group) => {
    const base = group.find(({ canary }) => canary === null);
    if (base !== undefined) {
      reportSecond(base, group, messages);
      return routesOfPath(
        base,
        group.filter(({ canary }) => canary !== null),
        messages,
      );
    }
    for (const rule of group) reportNoBase(rule, messages);
    return [];
  });
}

/** Exact paths first, then the longer prefix (Kubernetes' order). */
function byPrecedence([a]: readonly PathRule[], [b]: readonly PathRule[]): number {
  if (a === undefined || b === undefined) return 0;
  if (a.isExact !== b.isExact) return a.isExact ? -1 : 1;
  // Higress' order within a path: who asks for more goes first.
  const asked = conditionCount(b) - conditionCount(a);
  return b.path.length - a.path.length || compareTexts(a.path, b.path) || asked;
}

function conditionCount({ options }: PathRule): number {
  const { method, headers = [], queryParams = [] } = options.conditions;
  return (method === undefined ? 0 : 1) + headers.length + queryParams.length;
}

function routesOfPath(
  base: PathRule,
  canaries: readonly PathRule[],
  messages: MessageList,
): Route[] {
  const wanted = canaries.filter(({ canary }) => (canary?.weightPpm ?? 0) > 0);
  const beyond = notApart(wanted);
  for (const rule of beyond) reportBeyond(rule, messages);
  const weighted = wanted.filter((rule) => !beyond.includes(rule));
  const chosen = canaries.flatMap((rule) => {
    const matches = rule.canary?.header.in ?? [];
    return matches.length === 0
      ? []
      : [makeRoute(rule, { part: "by-header", base }, matches, whole(rule))];
  });
  const byCookie = canaries.flatMap((rule) => {
    const matches = rule.canary === null ? [] : cookieMatches(rule.canary);
    return matches.length === 0
      ? []
      : [makeRoute(rule, { part: "by-cookie", base }, matches, whole(rule))];
  });
  const kept = keptOut(weighted).map(({ matches, isOut }, index) => {
    const others = weighted.filter((rule) => !isOut(rule));
    return makeRoute(base, { part: `out-${index + 1}`, base }, matches, shares(base, others));
  });
  return [
    ...chosen,
    ...byCookie,
    ...kept,
    makeRoute(base, { part: "", base }, [{}], shares(base, weighted)),
  ];
}

/** Each canary's own share; the base has the rest. Shares beyond the whole are cut to fit. */
function shares(base: PathRule, canaries: readonly PathRule[]): WeightedDestination[] {
  const total = canaries.reduce((sum, { canary }) => sum + (canary?.weightPpm ?? 0), 0);
  if (canaries.length === 0) return whole(base);
  const own = canaries.flatMap((rule) => parted(whole(rule), rule.canary?.weightPpm ?? 0));
  return [...own, ...parted(whole(base), Math.max(0, PPM_TOTAL - total))];
}

function parted(list: readonly WeightedDestination[], weight: number): WeightedDestination[] {
  const total = list.reduce((sum, one) => sum + one.weight, 0);
  return list.map((one) => ({
    ...one,
    weight: total === 0 ? 0 : Math.round((one.weight * weight) / total),
  }));
}

/** Header operations are each Ingress' own, also a canary's. */
function whole({ target, destinations, options }: PathRule): WeightedDestination[] {
  const { requestHeaders, responseHeaders } = options;
  return (destinations ?? [{ weight: 1, target }]).map((one) => ({
    ...one,
    fallback: null,
    requestHeaders,
    responseHeaders,
  }));
}

/** `base`: whose settings count, but for header operations. */
function makeRoute(
  rule: PathRule,
  { part, base }: { readonly part: string; readonly base: PathRule },
  conditions: readonly RouteMatch[],
  destinations: readonly WeightedDestination[],
): Route {
  const { ingress, place, domain } = rule;
  const { redirect, timeoutMs } = base.options;
  const policy = policyOf(base);
  const id = `${keyOf(ingress)}/${domain}/${place.slice("spec.".length)}`;
  return {
    id: part === "" ? id : `${id}/${part}`,
    // Higress' name of the route: its plug-ins' rules by Ingress go by it.
    label: keyOf(ingress),
    source: refOf(ingress),
    matches: conditions.flatMap((condition) =>
      uriMatches(rule).map((uri) => ({
        ...(uri === null ? {} : { uri }),
        ...joined(base.options.conditions, condition),
      })),
    ),
    action: redirect ?? { kind: "forward", destinations },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs,
    ...(policy === null ? {} : { policy }),
  };
}

function joined(own: RouteMatch, canary: RouteMatch): RouteMatch {
  if (own.headers === undefined || canary.headers === undefined) return { ...own, ...canary };
  return { ...own, ...canary, headers: [...own.headers, ...canary.headers] };
}

/** `Prefix` compares whole elements: `/shop` takes `/shop` and `/shop/...`, not `/shopping`. */
function uriMatches({ path, isExact, options }: PathRule): (StringMatch | null)[] {
  if (options.isRegex && !isExact) return [{ kind: "regex", value: `(?:${path}).*` }];
  if (isExact) return [{ kind: "exact", value: path }];
  const prefix = trimmed(path);
  if (prefix === "") return [null];
  return [
    { kind: "exact", value: prefix },
    { kind: "prefix", value: `${prefix}/` },
  ];
}

export function trimmed(path: string): string {
  return path.replace(/\/+$/, "");
}

/** Of a domain that both have, the routes of `old` come first. */
export function mergedHosts(
  old: readonly VirtualHost[],
  hosts: readonly VirtualHost[],
): VirtualHost[] {
  const result = [...old];
  for (const host of hosts) {
    const index = result.findIndex(({ domains }) =>
      host.domains.some((domain) => domains.includes(domain)),
    );
    const same = result[index];
    if (same === undefined) {
      result.push(host);
      continue;
    }
    const others = same.domains.filter((domain) => !host.domains.includes(domain));
    const joined = { domains: host.domains, routes: [...same.routes, ...host.routes] };
    result.splice(index, 1, ...(others.length === 0 ? [] : [{ ...same, domains: others }]), joined);
  }
  return result;
}

function reportSecond(base: PathRule, group: readonly PathRule[], messages: MessageList): void {
  for (const rule of group) {
    if (rule === base || rule.canary !== null) continue;
    messages.add(rule.ingress, {
      severity: "warning",
      code: "GL0219",
      path: rule.place,
      message:
        `the Ingress ${keyOf(base.ingress)} has the path ${rule.path} of the host ` +
        `${rule.domain} already, so this one takes no request`,
      remedy: "Remove one of the two, or make it a canary.",
    });
  }
}

function reportBeyond({ ingress, place, path }: PathRule, messages: MessageList): void {
  messages.add(ingress, {
    severity: "error",
    code: "GL0224",
    path: place,
    message:
      `more than ${KEPT_OUT_APART_MAX} canaries of the path ${path} have weights and different ` +
      "headers or cookies that keep out, so the weight of this one takes nobody",
    remedy: "Let them share the names of their headers and cookies.",
  });
}

function reportNoBase({ ingress, place, path, domain }: PathRule, messages: MessageList): void {
  messages.add(ingress, {
    severity: "warning",
    code: "GL0220",
    path: place,
    message: `no Ingress has the path ${path} of the host ${domain}, so the canary takes nobody`,
    remedy: "A canary needs an Ingress with the same host, path and path type.",
  });
}
