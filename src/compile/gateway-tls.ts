//! The TLS part of a Gateway's servers: finds the Secret, checks it, and resolves it.

import type { Gateway as GatewayResource, GatewayServer } from "../resources/kinds/gateway.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { TlsServer, TlsVersion } from "../snapshot/tls.ts";
import type { MessageList } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";
import {
  authoritiesOf,
  certificateOf,
  certificatesFault,
  findSecret,
  GATEWAY_NAMESPACE,
  pairFault,
  privateKeyOf,
} from "./tls-secret.ts";
import type { FindSecret } from "./tls-secret.ts";

const VERSIONS: Readonly<Record<string, TlsVersion>> = {
  TLSV1_2: "TLSv1.2",
  TLSV1_3: "TLSv1.3",
};

/** Served as TLS: HTTPS with a mode that ends TLS here. */
export function isTlsServed({ port, tls }: GatewayServer): boolean {
  return port.protocol === "HTTPS" && (tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL");
}

interface Refusal {
  readonly code: "GL0241" | "GL0242";
  readonly message: string;
  readonly remedy: string;
}

/** Null when the Secret is not usable: then a message says why, and these hosts get no TLS. */
export function compileTlsServer(
  resource: GatewayResource,
  { server, index }: { readonly server: GatewayServer; readonly index: number },
  secrets: readonly Secret[],
  messages: MessageList,
): Omit<TlsServer, "hosts"> | null {
  const namespace = namespaceOf(resource);
  const { credentialName = "", mode, ...versions } = server.tls ?? {};
  const find = findSecret(secrets, namespace);
  const material = readMaterial(credentialName, mode === "MUTUAL", find);
  if ("code" in material) {
    const isIngress = resource.kind === "Ingress";
    const path = isIngress
      ? `spec.tls[${index}].secretName`
      : `spec.servers[${index}].tls.credentialName`;
    messages.add(resource, { severity: "error", path, ...material });
    return null;
  }
  const minVersion = VERSIONS[versions.minProtocolVersion ?? ""] ?? "TLSv1.2";
  const maxVersion = VERSIONS[versions.maxProtocolVersion ?? ""] ?? "TLSv1.3";
  return { ...material, minVersion, maxVersion };
}

function readMaterial(
  name: string,
  isMutual: boolean,
  find: FindSecret,
): Pick<TlsServer, "certificate" | "privateKey" | "clientCa"> | Refusal {
  const secret = find(name);
  if (secret === null) {
    const missing = `no Secret ${name} in its namespace or in ${GATEWAY_NAMESPACE}`;
    const message = name === "" ? "no Secret is named" : missing;
    return { code: "GL0241", message, remedy: "Apply a Secret of the type kubernetes.io/tls." };
  }
  const certificate = certificateOf(secret);
  const privateKey = privateKeyOf(secret);
  const clientCa = isMutual ? authoritiesOf(secret, find) : "";
  const fault =
    pairFault(certificate, privateKey) ?? (isMutual ? certificatesFault(clientCa, "ca.crt") : null);
  if (fault === null) return { certificate, privateKey, clientCa };
  const remedy = "Apply the Secret again with every part.";
  return { code: "GL0242", message: `Secret ${name}: ${fault}`, remedy };
}
