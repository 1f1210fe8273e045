//! Gateway resources to logical gateways: one for each distinct selector.

import type { Gateway as GatewayResource, GatewayServer } from "../resources/kinds/gateway.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import { GATEWAY_API_GROUP } from "../resources/kinds/route-fields.ts";
import { refOf } from "../resources/object.ts";
import type { Gateway, Listener, ObjectRef } from "../snapshot/snapshot.ts";
import type { TlsServer } from "../snapshot/tls.ts";
import { compileEdge } from "./edge-settings.ts";
import { compileTlsServer, isTlsServed } from "./gateway-tls.ts";
import type { MessageList } from "./messages.ts";
import { compareTexts } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";

/** A logical gateway while it is being put together. */
export interface LogicalGateway {
  /** The canonical selector, `a=b,c=d`; `*` for the empty selector. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: readonly GatewayResource[];
}

export interface Gateways {
  readonly logical: readonly LogicalGateway[];
  /** By `namespace/name` of the Gateway resource. */
  readonly byResource: ReadonlyMap<string, LogicalGateway>;
}

/** A host that one server of a Gateway resource admits. */
export interface AdmittedHost {
  readonly port: number;
  /** Lower-case pattern. */
  readonly host: string;
  /** Only VirtualServices of this namespace may use it; null: all. */
  readonly namespace: string | null;
}

export function collectGateways(resources: readonly GatewayResource[]): Gateways {
  const bySelector = new Map<string, GatewayResource[]>();
  for (const resource of resources) {
    const name = selectorName(resource.spec.selector);
    const list = bySelector.get(name);
    if (list === undefined) bySelector.set(name, [resource]);
    else list.push(resource);
  }
  const byResource = new Map<string, LogicalGateway>();
  const logical = [...bySelector].map(([name, members]) => {
    const gateway = { name, labels: members[0]?.spec.selector ?? {}, resources: members };
    for (const member of members) {
      // Istio's come first, and have the name when one of the Gateway API has it too.
      if (isIngress(member) || byResource.has(keyOf(member))) continue;
      byResource.set(keyOf(member), gateway);
    }
    return gateway;
  });
  return { logical: logical.sort((a, b) => compareTexts(a.name, b.name)), byResource };
}

export function selectorName(selector: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(selector).sort(([a], [b]) => compareTexts(a, b));
  return pairs.length === 0 ? "*" : pairs.map(([key, value]) => `${key}=${value}`).join(",");
}

export function routeTableName(gateway: string, port: number): string {
  return `${gateway}:${port}`;
}

/** The listeners that the resources ask for, merged by port. Plug-ins come later. */
export function compileGateway(
  gateway: LogicalGateway,
  secrets: readonly Secret[],
  messages: MessageList,
): Gateway {
  const hostsByPort = new Map<number, Set<string>>();
  const sources = new Map<number, ObjectRef>();
  for (const resource of gateway.resources) {
    reportUnserved(resource, messages);
    for (const { port, host } of admittedHosts(resource)) {
      const source = refOf(resource);
      const first = sources.get(port) ?? source;
      sources.set(port, compareTexts(placeOf(source), placeOf(first)) < 0 ? source : first);
      const hosts = hostsByPort.get(port) ?? new Set();
      hostsByPort.set(port, hosts.add(host));
    }
  }
  const listeners: Listener[] = [...hostsByPort]
    .sort(([a], [b]) => a - b)
    .map(([port, hosts]) => ({
      port,
      protocol: "HTTP",
      ...sourceOf(sources.get(port)),
      hosts: [...hosts].sort(),
      routeTable: routeTableName(gateway.name, port),
      ...securityOf(gateway, port, (resource, place) =>
        compileTlsServer(resource, place, secrets, messages),
      ),
    }));
  const edge = compileEdge(gateway.resources, messages);
  const { name, labels } = gateway;
  return { name, labels, listeners, plugins: [], ...(edge === null ? {} : { edge }) };
}

function placeOf({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}`;
}

function sourceOf(source: ObjectRef | undefined): Pick<Listener, "source"> {
  return source === undefined ? {} : { source };
}

type TlsMaker = (
  resource: GatewayResource,
  place: { readonly server: GatewayServer; readonly index: number },
) => Omit<TlsServer, "hosts"> | null;

/** TLS and redirects of one port. */
function securityOf(
  gateway: LogicalGateway,
  port: number,
  makeTls: TlsMaker,
): Pick<Listener, "tls" | "httpsRedirectHosts"> {
  const tls: TlsServer[] = [];
  const redirected: string[] = [];
  let isSecure = false;
  for (const resource of gateway.resources) {
    for (const [index, server] of resource.spec.servers.entries()) {
      if (server.port.number !== port || !isServed(server)) continue;
      const hosts = server.hosts.map((host) => splitHost(host, namespaceOf(resource)).host);
      if (isTlsServed(server)) {
        isSecure = true;
        const made = makeTls(resource, { server, index });
        if (made !== null) tls.push({ hosts, ...made });
      } else if (server.tls?.httpsRedirect === true) redirected.push(...hosts);
    }
  }
  return {
    ...(isSecure ? { tls } : {}),
    ...(redirected.length > 0 ? { httpsRedirectHosts: redirected } : {}),
  };
}

/** What the HTTP servers of one Gateway resource admit. */
export function admittedHosts(resource: GatewayResource): AdmittedHost[] {
  return resource.spec.servers
    .filter(isServed)
    .flatMap(({ port, hosts }) =>
      hosts.map((host) => ({ port: port.number, ...splitHost(host, namespaceOf(resource)) })),
    );
}

function isServed(server: GatewayServer): boolean {
  return server.port.protocol === "HTTP" || isTlsServed(server);
}

function splitHost(text: string, own: string): Pick<AdmittedHost, "host" | "namespace"> {
  const slash = text.indexOf("/");
  if (slash === -1) return { host: text.toLowerCase(), namespace: null };
  const namespace = text.slice(0, slash);
  const host = text.slice(slash + 1).toLowerCase();
  if (namespace === "*") return { host, namespace: null };
  return { host, namespace: namespace === "." ? own : namespace };
}

function reportUnserved(resource: GatewayResource, messages: MessageList): void {
  // Of the Gateway API it has been said in its own words.
  if (isApiGateway(resource)) return;
  resource.spec.servers.forEach((server, index) => {
    if (isServed(server)) return;
    messages.add(resource, {
      severity: "warning",
      code: "GL0209",
      path: `spec.servers[${index}].port.protocol`,
      message: `port ${server.port.number} asks for ${server.port.protocol}, so it is not opened`,
      remedy: "Served are HTTP, and HTTPS with the TLS modes SIMPLE and MUTUAL.",
    });
  });
}

/** A port that a logical gateway asks for and another one has. */
export interface LostPort {
  readonly resource: GatewayResource;
  readonly port: number;
}

/**
 * Two logical gateways that ask for one port: on one machine only the first, by name, gets it. (On
 * a Kubernetes cluster they are proxies of their own.)
 */
export function reportSharedPorts(
  logical: readonly LogicalGateway[],
  messages: MessageList,
): LostPort[] {
  const owners = new Map<number, LogicalGateway>();
  const lost: LostPort[] = [];
  for (const gateway of logical) {
    for (const resource of gateway.resources) {
      resource.spec.servers.forEach((server, index) => {
        const { number } = server.port;
        const owner = owners.get(number) ?? gateway;
        if (isServed(server)) owners.set(number, owner);
        if (!isServed(server) || owner === gateway) return;
        lost.push({ resource, port: number });
        messages.add(resource, {
          severity: "error",
          code: "GL0217",
          path: portPath(resource, index),
          message:
            `the gateway ${owner.name} has port ${number} already, so ${gateway.name} ` +
            "does not listen there",
          remedy: "Give one of the two another port, or both the same selector.",
        });
      });
    }
  }
  return lost;
}

/** The Gateway API calls a server a listener, and keeps its port in another place. */
function portPath(resource: GatewayResource, index: number): string {
  if (isIngress(resource)) return `spec.tls[${index}]`;
  return isApiGateway(resource)
    ? `spec.listeners[${index}].port`
    : `spec.servers[${index}].port.number`;
}

/** Whether it stands for an Ingress, to which no VirtualService can be bound. */
export function isIngress({ kind }: GatewayResource): boolean {
  return kind === "Ingress";
}

/** Whether a Gateway in Istio's form stands for one of the Gateway API. */
export function isApiGateway({ apiVersion }: GatewayResource): boolean {
  return apiVersion.startsWith(`${GATEWAY_API_GROUP}/`);
}
