//! TLS that a listener ends: `transport_socket` of its filter chain.

import { X509Certificate, createPrivateKey } from "node:crypto";
import type { Cursor } from "../resources/cursor.ts";
import type { TlsServer, TlsVersion } from "../snapshot/tls.ts";
import { unsupported, unwrap } from "./common.ts";
import { readPair, readPem } from "./tls-parts.ts";
import { readTlsContext } from "./transport-socket.ts";

/** It tells Envoy whether TLS is spoken, and for which name; here that is known without it. */
const INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const CONTEXT_FIELDS = ["common_tls_context", "require_client_certificate"];
const COMMON_FIELDS = ["tls_certificates", "tls_params", "alpn_protocols", "validation_context"];
const PARAMETERS = ["tls_minimum_protocol_version", "tls_maximum_protocol_version"];
/** Always offered. */
const PROTOCOLS = ["h2", "http/1.1"];
const VERSIONS = { TLSV1_2: "TLSv1.2", TLSV1_3: "TLSv1.3" } as const;

/** Undefined: in clear, or what is there is wrong. */
export function readListenerTls(chain: Cursor): readonly TlsServer[] | undefined {
  const config = readTlsContext(chain, "DownstreamTlsContext", CONTEXT_FIELDS);
  if (config === undefined) return undefined;
  const common = config.at("common_tls_context");
  if (!common.isMap(COMMON_FIELDS)) return undefined;
  for (const item of common.at("alpn_protocols").items()) {
    if (!PROTOCOLS.includes(item.text(null))) item.wrong(`one of ${PROTOCOLS.join(", ")}`);
  }
  const pair = readPair(common.at("tls_certificates"));
  if (pair === null) {
    common.at("tls_certificates").wrong("a list with one certificate");
    return undefined;
  }
  const clientCa = readClientCa(config, common);
  return [{ hosts: ["*"], ...checked(pair, common), clientCa, ...readVersions(common) }];
}

/** The listener filters that change nothing here. */
export function readListenerFilters(filters: Cursor): void {
  for (const item of filters.items()) {
    if (!item.isMap(["name", "typed_config"])) continue;
    const { type } = unwrap(item.at("typed_config"));
    if (type !== INSPECTOR) unsupported(item, `the listener filter ${type || "without a type"}`);
  }
}

type Pair = Pick<TlsServer, "certificate" | "privateKey">;

/** A pair that does not belong together would fail in each worker. */
function checked(pair: Pair, common: Cursor): Pair {
  try {
    const key = createPrivateKey(pair.privateKey);
    if (new X509Certificate(pair.certificate).checkPrivateKey(key)) return pair;
    common.at("tls_certificates").wrong("a certificate with the key that belongs to it");
  } catch {
    // What is no PEM has been noted.
  }
  return pair;
}

/** Of clients; Envoy may also ask without insisting, which is not done here. */
function readClientCa(config: Cursor, common: Cursor): string {
  const isRequired = config.at("require_client_certificate").flag(false);
  const validation = common.at("validation_context");
  if (!isRequired) {
    if (!validation.isAbsent) {
      const remedy = "Set it to true, or leave validation_context out.";
      unsupported(validation, "one without require_client_certificate", remedy);
    }
    return "";
  }
  if (!validation.isMap(["trusted_ca"])) return "";
  return readPem(validation.at("trusted_ca"), (pem) => new X509Certificate(pem));
}

function readVersions(common: Cursor): Pick<TlsServer, "minVersion" | "maxVersion"> {
  const parameters = common.at("tls_params");
  if (!parameters.isAbsent) parameters.isMap(PARAMETERS);
  const least = readVersion(parameters.at("tls_minimum_protocol_version"), "TLSv1.2");
  const most = readVersion(parameters.at("tls_maximum_protocol_version"), "TLSv1.3");
  if (least > most) {
    parameters.wrong("a minimum version that is not above the maximum");
    return { minVersion: most, maxVersion: most };
  }
  return { minVersion: least, maxVersion: most };
}

function readVersion(cursor: Cursor, fallback: TlsVersion): TlsVersion {
  const word = cursor.choice(["TLS_AUTO", "TLSV1_2", "TLSV1_3"], "TLS_AUTO");
  return word === "TLS_AUTO" ? fallback : VERSIONS[word];
}
