//! TLS to the endpoints of a cluster in Envoy's words.

import type { JsonObject } from "../base/json.ts";
import type { Cluster, ObjectRef } from "../snapshot/snapshot.ts";
import type { UpstreamTls } from "../snapshot/tls.ts";
import type { EnvoyView } from "./envoy-config.ts";
import { TLS_SOCKET, UPSTREAM_TLS, byName, secretsOf } from "./secrets.ts";
import type { Secrets } from "./secrets.ts";

/** Digits, dots and colons: no name to be sent as SNI. */
const ADDRESS = /^(?:[\d.]+|[\da-f]*:[\da-f:.]*)$/i;

/** What completes "Envoy cannot …"; null: it can. */
export function refusedTls(tls: UpstreamTls | undefined, view: EnvoyView): string | null {
  if (tls === undefined) return null;
  if (view.role === "sidecar") return "speak TLS to a service from a sidecar";
  if (tls.fault !== undefined) return `speak TLS to a service: ${tls.fault}`;
  if (tls.privateKey !== "" && view.hasKeys !== true) {
    return "show a certificate to a service: it is given no private keys without the xDS token";
  }
  const trustsSystem = tls.authorities === "" && tls.files?.authorities === undefined;
  if (tls.isVerified && trustsSystem && view.systemAuthorities === undefined) {
    return "trust the authorities of the system, of which this machine has no list";
  }
  return null;
}

/** Null: it is spoken to in clear, or not at all. */
export function clusterSecrets(
  { name, policy }: Cluster,
  view: EnvoyView,
  source: ObjectRef,
): Secrets | null {
  const tls = policy?.tls;
  if (tls === undefined || view.role === "sidecar" || refusedTls(tls, view) !== null) return null;
  const { systemAuthorities } = view;
  const isSystem = tls.authorities === "" && tls.files?.authorities === undefined;
  const files =
    isSystem && systemAuthorities !== undefined
      ? { ...tls.files, authorities: systemAuthorities }
      : (tls.files ?? {});
  const secrets = secretsOf(name, { ...tls, files }, source);
  return tls.isVerified ? secrets : { ...secrets, authorities: null };
}

/** The transport socket: ALPN follows from the protocol of each connection. */
export function upstreamTls(tls: UpstreamTls, { certificate, authorities }: Secrets): JsonObject {
  const { serverName, acceptedNames } = tls;
  const validation = {
    default_validation_context: { match_typed_subject_alt_names: acceptedNames.map(nameMatcher) },
    ...(authorities === null ? {} : { validation_context_sds_secret_config: byName(authorities) }),
  };
  const context: JsonObject = {
    "@type": UPSTREAM_TLS,
    ...(serverName === "" || ADDRESS.test(serverName) ? {} : { sni: serverName }),
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: "TLSv1_2",
        tls_maximum_protocol_version: "TLSv1_3",
      },
      ...(certificate === null
        ? {}
        : { tls_certificate_sds_secret_configs: [byName(certificate)] }),
      ...(authorities === null ? {} : { combined_validation_context: validation }),
    },
  };
  return { name: TLS_SOCKET, typed_config: context };
}

function nameMatcher(name: string): JsonObject {
  return { san_type: sanType(name), matcher: { exact: name } };
}

function sanType(name: string): string {
  if (ADDRESS.test(name)) return "IP_ADDRESS";
  return name.includes("://") ? "URI" : "DNS";
}
