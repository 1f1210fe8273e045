//! The TLS part of a Gateway's servers: finds the Secret, checks it, and resolves it.

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Gateway as GatewayResource, GatewayServer } from "../resources/kinds/gateway.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { TlsServer, TlsVersion } from "../snapshot/tls.ts";
import type { MessageList } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";

/** Where Istio's gateways run: their Secrets lie there, wherever the Gateway resource does. */
const GATEWAY_NAMESPACE = "istio-system";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g;

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
  const find = (name: string): Secret | null => findSecret(secrets, name, namespace);
  const material = readMaterial(credentialName, mode === "MUTUAL", find);
  if ("code" in material) {
    const path = `spec.servers[${index}].tls.credentialName`;
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
  find: (name: string) => Secret | null,
): Pick<TlsServer, "certificate" | "privateKey" | "clientCa"> | Refusal {
  const secret = find(name);
  if (secret === null) {
    const missing = `no Secret ${name} in the Gateway's namespace or in ${GATEWAY_NAMESPACE}`;
    const message = name === "" ? "no credentialName is given" : missing;
    return { code: "GL0241", message, remedy: "Apply a Secret of the type kubernetes.io/tls." };
  }
  const certificate = valueOf(secret, "tls.crt", "cert");
  const privateKey = valueOf(secret, "tls.key", "key");
  const clientCa = isMutual ? clientCaOf(secret, find(`${name}-cacert`)) : "";
  const fault =
    faultOf(certificate, privateKey) ?? (isMutual ? certificatesFault(clientCa, "ca.crt") : null);
  if (fault === null) return { certificate, privateKey, clientCa };
  const remedy = "Apply the Secret again with every part.";
  return { code: "GL0242", message: `Secret ${name}: ${fault}`, remedy };
}

function clientCaOf(secret: Secret, apart: Secret | null): string {
  const own = valueOf(secret, "ca.crt", "cacert");
  return own !== "" || apart === null ? own : valueOf(apart, "ca.crt", "cacert");
}

function findSecret(secrets: readonly Secret[], name: string, namespace: string): Secret | null {
  const named = secrets.filter((secret) => secret.metadata.name === name);
  const inNamespace = (wanted: string): Secret | undefined =>
    named.find((secret) => namespaceOf(secret) === wanted);
  return inNamespace(namespace) ?? inNamespace(GATEWAY_NAMESPACE) ?? null;
}

/** `kubernetes.io/tls` has the first name, Istio's generic Secrets the second. */
function valueOf({ data, stringData }: Secret, ...names: readonly string[]): string {
  for (const name of names) {
    const text = stringData?.[name];
    if (text !== undefined) return text;
    const encoded = data?.[name];
    if (encoded !== undefined) return Buffer.from(encoded, "base64").toString("latin1");
  }
  return "";
}

/** What is wrong with the pair, in words that show nothing of it. */
function faultOf(certificate: string, privateKey: string): string | null {
  const fault = certificatesFault(certificate, "tls.crt");
  if (fault !== null) return fault;
  try {
    const key = createPrivateKey(privateKey);
    if (new X509Certificate(certificate).checkPrivateKey(key)) return null;
    return "tls.key is not the key of tls.crt";
  } catch {
    return "tls.key is no private key in PEM without a passphrase";
  }
}

function certificatesFault(text: string, name: string): string | null {
  const all = text.match(CERTIFICATE);
  if (all === null) return `${name} has no certificate in PEM`;
  try {
    for (const one of all) new X509Certificate(one);
    return null;
  } catch {
    return `${name} has a certificate that cannot be read`;
  }
}
