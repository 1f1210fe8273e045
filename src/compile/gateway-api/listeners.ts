//! Gateways of the Gateway API to listeners, and to the form that all other Gateways have here.

import type { ApiGateway, ApiListener } from "../../resources/kinds/api-gateway.ts";
import type { Gateway, GatewayServer } from "../../resources/kinds/gateway.ts";
import { GATEWAY_API_GROUP } from "../../resources/kinds/route-fields.ts";
import type { Secret } from "../../resources/kinds/secret.ts";
import type { MessageList } from "../messages.ts";
import { listNames, namespaceOf } from "../resource-index.ts";
import { certificateOf, pairFault, privateKeyOf, secretAt } from "../tls-secret.ts";
import { ACCEPTED, NO_CONFLICT, refusal, RESOLVED } from "./verdict.ts";
import type { Grants } from "./grants.ts";
import type { Verdict } from "./verdict.ts";

export const ROUTE_KINDS: readonly string[] = ["HTTPRoute", "GRPCRoute"];

export interface ApiListenerModel {
  readonly listener: ApiListener;
  readonly index: number;
  /** Lower-case pattern; `*`: every host. */
  readonly host: string;
  readonly supportedKinds: readonly string[];
  readonly accepted: Verdict;
  readonly resolvedRefs: Verdict;
  readonly conflicted: Verdict;
  /** It takes connections. */
  readonly isServed: boolean;
}

export interface ApiGatewayModel {
  readonly resource: ApiGateway;
  readonly listeners: readonly ApiListenerModel[];
  /** The same in Istio's words, with a selector of its own. */
  readonly shaped: Gateway;
}

interface ListenerScope {
  readonly gateway: ApiGateway;
  readonly secrets: readonly Secret[];
  readonly grants: Grants;
  readonly messages: MessageList;
}

export function modelGateway(scope: ListenerScope): ApiGatewayModel {
  const { gateway } = scope;
  const mixed = mixedPorts(gateway);
  const listeners = gateway.spec.listeners.map((listener, index) =>
    modelListener(listener, index, { ...scope, mixed }),
  );
  return { resource: gateway, listeners, shaped: shape(gateway, listeners) };
}

/** Labels of the proxies of a Gateway: plug-ins select by them. The first is the API's own. */
export function labelsOf(gateway: ApiGateway): Record<string, string> {
  return {
    ...gateway.spec.infrastructure?.labels,
    [`${GATEWAY_API_GROUP}/gateway-name`]: gateway.metadata.name,
    "graylane.io/gateway-namespace": namespaceOf(gateway),
  };
}

function shape(gateway: ApiGateway, listeners: readonly ApiListenerModel[]): Gateway {
  return {
    apiVersion: gateway.apiVersion,
    kind: gateway.kind,
    metadata: gateway.metadata,
    spec: {
      selector: labelsOf(gateway),
      servers: listeners.map((model) => serverOf(gateway, model)),
    },
  };
}

/** One for each listener, so that their numbers agree; one that is not served has no protocol. */
function serverOf(
  gateway: ApiGateway,
  { listener, host, isServed }: ApiListenerModel,
): GatewayServer {
  const { port: number, name, protocol, tls } = listener;
  const [certificate] = tls?.certificateRefs ?? [];
  const isSecure = protocol === "HTTPS";
  return {
    port: { number, name, protocol: !isServed ? "TCP" : isSecure ? "HTTPS" : "HTTP" },
    hosts: [host],
    ...(isSecure && isServed && certificate !== undefined
      ? {
          tls: {
            mode: "SIMPLE",
            credentialName: secretAt(
              certificate.namespace ?? namespaceOf(gateway),
              certificate.name,
            ),
          },
        }
      : {}),
  };
}

/** Ports that are asked for in clear and in TLS. */
function mixedPorts({ spec }: ApiGateway): ReadonlySet<number> {
  const protocols = new Map<number, string>();
  const mixed = new Set<number>();
  for (const { port, protocol } of spec.listeners) {
    if (!isKnownProtocol(protocol)) continue;
    const first = protocols.get(port) ?? protocol;
    protocols.set(port, first);
    if (first !== protocol) mixed.add(port);
  }
  return mixed;
}

function isKnownProtocol(protocol: string): boolean {
  return protocol === "HTTP" || protocol === "HTTPS";
}

function modelListener(
  listener: ApiListener,
  index: number,
  scope: ListenerScope & { readonly mixed: ReadonlySet<number> },
): ApiListenerModel {
  const path = `spec.listeners[${index}]`;
  const accepted = protocolVerdict(listener, path, scope);
  const conflicted = scope.mixed.has(listener.port) ? conflict(listener, path, scope) : NO_CONFLICT;
  const supportedKinds = accepted.isTrue ? kindsOf(listener) : [];
  const certificates =
    accepted.isTrue && listener.protocol === "HTTPS"
      ? certificatesVerdict(listener, path, scope)
      : RESOLVED;
  const kinds = accepted.isTrue ? kindsVerdict(listener, path, scope) : RESOLVED;
  return {
    listener,
    index,
    host: (listener.hostname ?? "*").toLowerCase(),
    supportedKinds,
    accepted: conflicted.isTrue ? refusal("ProtocolConflict", conflicted.message) : accepted,
    resolvedRefs: certificates.isTrue ? kinds : certificates,
    conflicted,
    isServed:
      accepted.isTrue && !conflicted.isTrue && certificates.isTrue && supportedKinds.length > 0,
  };
}

function protocolVerdict(
  { protocol, port, tls }: ApiListener,
  path: string,
  { gateway, messages }: ListenerScope,
): Verdict {
  const isPassed = tls?.mode === "Passthrough";
  if (isKnownProtocol(protocol) && !isPassed) return ACCEPTED;
  const what = isPassed ? `TLS of port ${port} to be passed through` : protocol;
  const message = `the listener asks for ${what}, so port ${port} is not opened for it`;
  messages.add(gateway, {
    severity: "warning",
    code: "GL0270",
    path: isPassed ? `${path}.tls.mode` : `${path}.protocol`,
    message,
    remedy: "Served are HTTP, and HTTPS with the TLS mode Terminate.",
  });
  return refusal("UnsupportedProtocol", message);
}

function conflict(
  { port }: ApiListener,
  path: string,
  { gateway, messages }: ListenerScope,
): Verdict {
  const message = `port ${port} is asked for in clear and in TLS, so none of the two serves there`;
  messages.add(gateway, {
    severity: "error",
    code: "GL0273",
    path: `${path}.port`,
    message,
    remedy: "Give one of the listeners another port.",
  });
  return { isTrue: true, reason: "ProtocolConflict", message };
}

function kindsOf({ allowedRoutes }: ApiListener): string[] {
  const { kinds } = allowedRoutes;
  if (kinds === undefined || kinds.length === 0) return [...ROUTE_KINDS];
  return ROUTE_KINDS.filter((known) => kinds.some((one) => isRouteKind(one) && one.kind === known));
}

function isRouteKind({ group, kind }: { readonly group: string; readonly kind: string }): boolean {
  return group === GATEWAY_API_GROUP && ROUTE_KINDS.includes(kind);
}

function kindsVerdict(
  { allowedRoutes }: ApiListener,
  path: string,
  { gateway, messages }: ListenerScope,
): Verdict {
  const unknown = (allowedRoutes.kinds ?? []).filter((kind) => !isRouteKind(kind));
  if (unknown.length === 0) return RESOLVED;
  const message = `routes of the kind ${listNames(unknown.map(({ kind }) => kind))} are not served`;
  messages.add(gateway, {
    severity: "error",
    code: "GL0271",
    path: `${path}.allowedRoutes.kinds`,
    message,
    remedy: `Served are ${ROUTE_KINDS.join(" and ")} of ${GATEWAY_API_GROUP}.`,
  });
  return refusal("InvalidRouteKinds", message);
}

function certificatesVerdict({ tls }: ApiListener, path: string, scope: ListenerScope): Verdict {
  const refs = tls?.certificateRefs ?? [];
  const faults = refs.flatMap((ref) => certificateFault(ref, scope) ?? []);
  const [fault] =
    refs.length === 0 ? [refusal("InvalidCertificateRef", "no certificateRefs are given")] : faults;
  if (fault === undefined) {
    if (refs.length > 1) reportSpare(path, scope);
    return RESOLVED;
  }
  scope.messages.add(scope.gateway, {
    severity: "error",
    code: "GL0272",
    path: `${path}.tls.certificateRefs`,
    message: `${fault.message}: the listener takes no connection`,
    remedy: "Name a Secret of the type kubernetes.io/tls that the Gateway may refer to.",
  });
  return fault;
}

function certificateFault(
  ref: NonNullable<NonNullable<ApiListener["tls"]>["certificateRefs"]>[number],
  { gateway, secrets, grants }: ListenerScope,
): Verdict | null {
  const { group, kind, name } = ref;
  const own = namespaceOf(gateway);
  const namespace = ref.namespace ?? own;
  const isSecret = group === "" && kind === "Secret";
  if (!isSecret) return refusal("InvalidCertificateRef", `${kind} ${name} is no Secret`);
  const from = { group: GATEWAY_API_GROUP, kind: "Gateway", namespace: own };
  if (!grants.permits(from, { group, kind, namespace, name })) {
    const message = `no ReferenceGrant lets Gateways of ${own} use the Secret ${namespace}/${name}`;
    return refusal("RefNotPermitted", message);
  }
  const secret = secrets.find(
    (one) => one.metadata.name === name && namespaceOf(one) === namespace,
  );
  if (secret === undefined) {
    return refusal("InvalidCertificateRef", `there is no Secret ${namespace}/${name}`);
  }
  const fault = pairFault(certificateOf(secret), privateKeyOf(secret));
  if (fault === null) return null;
  return refusal("InvalidCertificateRef", `Secret ${namespace}/${name}: ${fault}`);
}

function reportSpare(path: string, { gateway, messages }: ListenerScope): void {
  messages.add(gateway, {
    severity: "warning",
    code: "GL0107",
    path: `${path}.tls.certificateRefs[1]`,
    message: "only the first certificate of a listener is shown to clients",
    remedy: "Give each certificate a listener with the hostname that it is for.",
  });
}
