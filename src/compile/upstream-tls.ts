//! `trafficPolicy.tls` of DestinationRules, resolved: what cannot be used stops requests, for
//! nothing is ever sent in clear, or unverified, that was to be sent otherwise.

import type { ClientTlsSettings } from "../resources/kinds/client-tls.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { TlsFiles, UpstreamTls } from "../snapshot/tls.ts";
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

/** As the value of `caCertificates`: those of the machine. */
const SYSTEM = "system";

interface Place {
  readonly rule: DestinationRule;
  readonly path: string;
  /** The cluster's full name. */
  readonly host: string;
}

interface Refusal {
  readonly code: "GL0243" | "GL0244" | "GL0245" | "GL0246";
  /** The field that is to blame, below the settings. */
  readonly field: string;
  readonly message: string;
  readonly remedy: string;
}

type Material = Pick<UpstreamTls, "authorities" | "certificate" | "privateKey" | "files">;

const NO_MATERIAL: Material = { authorities: "", certificate: "", privateKey: "" };

export class UpstreamTlsResolver {
  readonly #secrets: readonly Secret[];
  readonly #messages: MessageList;
  /** Each settings object is used at every port of its host, and reported once. */
  readonly #known = new Map<ClientTlsSettings, Material | Refusal>();

  constructor(secrets: readonly Secret[], messages: MessageList) {
    this.#secrets = secrets;
    this.#messages = messages;
  }

  /** Null: in clear. */
  resolve(settings: ClientTlsSettings, place: Place): UpstreamTls | null {
    const { mode = "DISABLE", sni, subjectAltNames = [], insecureSkipVerify } = settings;
    if (mode === "DISABLE") return null;
    const material = this.#material(settings, place);
    const serverName = (sni ?? place.host).toLowerCase();
    const common = {
      serverName,
      acceptedNames: subjectAltNames.length > 0 ? subjectAltNames : [serverName],
      isVerified: insecureSkipVerify !== true,
    };
    if (!("code" in material)) return { ...common, ...material };
    return { ...common, ...NO_MATERIAL, fault: material.message };
  }

  #material(settings: ClientTlsSettings, { rule, path }: Place): Material | Refusal {
    const known = this.#known.get(settings);
    if (known !== undefined) return known;
    const find = findSecret(this.#secrets, namespaceOf(rule));
    const found = contradictionOf(settings) ?? materialOf(settings, find);
    this.#known.set(settings, found);
    if ("code" in found) {
      const { code, field, message, remedy } = found;
      const at = `${path}.${field}`;
      this.#messages.add(rule, { severity: "error", code, path: at, message, remedy });
    }
    return found;
  }
}

function contradictionOf(settings: ClientTlsSettings): Refusal | null {
  const { mode, credentialName, clientCertificate, privateKey, caCertificates } = settings;
  if (mode === "ISTIO_MUTUAL") {
    const message = "ISTIO_MUTUAL needs the certificates of Istio's agent, which is not here";
    const remedy = "Use MUTUAL or SIMPLE with credentialName or files, or DISABLE.";
    return { code: "GL0243", field: "mode", message, remedy };
  }
  const hasPair = clientCertificate !== undefined || privateKey !== undefined;
  const hasFiles = hasPair || caCertificates !== undefined;
  if (credentialName !== undefined && hasFiles) {
    const message = `credentialName ${credentialName} and files are both given`;
    return contradiction("credentialName", message, "Keep one of the two.");
  }
  if (mode === "SIMPLE" && hasPair) {
    const message = "the mode SIMPLE shows no certificate of the client";
    return contradiction("mode", message, "Use MUTUAL, or leave certificate and key out.");
  }
  const isWhole = clientCertificate !== undefined && privateKey !== undefined;
  if (mode === "MUTUAL" && credentialName === undefined && !isWhole) {
    const message = "the mode MUTUAL needs a certificate of the client with its key";
    return contradiction(
      "mode",
      message,
      "Give credentialName, or clientCertificate and privateKey.",
    );
  }
  return verificationContradiction(settings);
}

function verificationContradiction(settings: ClientTlsSettings): Refusal | null {
  const { insecureSkipVerify, caCertificates, subjectAltNames = [] } = settings;
  if (insecureSkipVerify !== true) return null;
  if (caCertificates === undefined && subjectAltNames.length === 0) return null;
  const message = "insecureSkipVerify is set beside what would be verified";
  const remedy = "Leave it out, or leave caCertificates and subjectAltNames out.";
  return contradiction("insecureSkipVerify", message, remedy);
}

function contradiction(field: string, message: string, remedy: string): Refusal {
  return { code: "GL0246", field, message, remedy };
}

function materialOf(settings: ClientTlsSettings, find: FindSecret): Material | Refusal {
  const { credentialName } = settings;
  if (credentialName !== undefined) return secretMaterial(credentialName, settings, find);
  const files = filesOf(settings);
  return Object.keys(files).length === 0 ? NO_MATERIAL : { ...NO_MATERIAL, files };
}

function filesOf({ caCertificates, clientCertificate, privateKey }: ClientTlsSettings): TlsFiles {
  const isOwn = caCertificates !== undefined && caCertificates !== SYSTEM;
  return {
    ...(isOwn ? { authorities: caCertificates } : {}),
    ...(clientCertificate === undefined ? {} : { certificate: clientCertificate }),
    ...(privateKey === undefined ? {} : { keyOfCertificate: privateKey }),
  };
}

function secretMaterial(
  name: string,
  { mode, insecureSkipVerify }: ClientTlsSettings,
  find: FindSecret,
): Material | Refusal {
  const field = "credentialName";
  const secret = find(name);
  if (secret === null) {
    const where = `the DestinationRule's namespace or in ${GATEWAY_NAMESPACE}`;
    const message = `no Secret ${name} in ${where}`;
    return { code: "GL0244", field, message, remedy: "Apply the Secret." };
  }
  const authorities = authoritiesOf(secret, find);
  const isMutual = mode === "MUTUAL";
  const certificate = isMutual ? certificateOf(secret) : "";
  const privateKey = isMutual ? privateKeyOf(secret) : "";
  // A Secret without authorities is for its pair; without a pair it is for nothing else.
  const needsAuthorities = authorities !== "" || (!isMutual && insecureSkipVerify !== true);
  const fault =
    (isMutual ? pairFault(certificate, privateKey) : null) ??
    (needsAuthorities ? certificatesFault(authorities, "ca.crt") : null);
  if (fault === null) return { authorities, certificate, privateKey };
  const remedy = "Apply the Secret again with every part.";
  return { code: "GL0245", field, message: `Secret ${name}: ${fault}`, remedy };
}
