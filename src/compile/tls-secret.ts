//! What Secrets hold for TLS: found by name, read, and checked in words that show nothing of it.

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Secret } from "../resources/kinds/secret.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";

/** Where Istio's gateways run: their Secrets lie there, wherever the resource does. */
export const GATEWAY_NAMESPACE = "istio-system";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g;

export type FindSecret = (name: string) => Secret | null;

/** Istio's writing of a Secret that a Gateway of the Gateway API names. */
const PLACED = "kubernetes-gateway://";

/** The name under which `findSecret` finds the Secret of just that namespace. */
export function secretAt(namespace: string, name: string): string {
  return `${PLACED}${namespace}/${name}`;
}

/** Of the namespace, else of `istio-system`. */
export function findSecret(secrets: readonly Secret[], namespace: string): FindSecret {
  return (name) => {
    if (name.startsWith(PLACED)) {
      const place = name.slice(PLACED.length);
      return secrets.find((secret) => keyOf(secret) === place) ?? null;
    }
    const named = secrets.filter((secret) => secret.metadata.name === name);
    const inNamespace = (wanted: string): Secret | undefined =>
      named.find((secret) => namespaceOf(secret) === wanted);
    return inNamespace(namespace) ?? inNamespace(GATEWAY_NAMESPACE) ?? null;
  };
}

export function certificateOf(secret: Secret): string {
  return valueOf(secret, "tls.crt", "cert");
}

export function privateKeyOf(secret: Secret): string {
  return valueOf(secret, "tls.key", "key");
}

/** Of the Secret itself, else of the one that Istio names `NAME-cacert`; `""`: of neither. */
export function authoritiesOf(secret: Secret, find: FindSecret): string {
  const own = valueOf(secret, "ca.crt", "cacert");
  const apart = own === "" ? find(`${secret.metadata.name}-cacert`) : null;
  return apart === null ? own : valueOf(apart, "ca.crt", "cacert");
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

/** What is wrong with the pair; null: nothing. */
export function pairFault(certificate: string, privateKey: string): string | null {
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

export function certificatesFault(text: string, name: string): string | null {
  const all = text.match(CERTIFICATE);
  if (all === null) return `${name} has no certificate in PEM`;
  try {
    for (const one of all) new X509Certificate(one);
    return null;
  } catch {
    return `${name} has a certificate that cannot be read`;
  }
}
