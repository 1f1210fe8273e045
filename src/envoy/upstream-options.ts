//! What a cluster says of its connections: HTTP/2, and TLS towards its endpoints.

import { X509Certificate } from "node:crypto";
import type { Cursor } from "../resources/cursor.ts";
import type { UpstreamTls } from "../snapshot/tls.ts";
import { isAnything, unsupported } from "./common.ts";
import { readPair, readPem } from "./tls-parts.ts";
import { readTlsContext } from "./transport-socket.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CONTEXT_FIELDS = ["sni", "common_tls_context"];
const NAMES = "match_typed_subject_alt_names";
/** Tuning of HTTP/2 that changes no request. */
export const HTTP2_FIELDS: readonly string[] = [
  "max_concurrent_streams",
  "initial_stream_window_size",
  "initial_connection_window_size",
  "connection_keepalive",
];

/** Both forms: of today in `typed_extension_protocol_options`, and `http2_protocol_options`. */
export function readProtocol(cluster: Cursor): "h1" | "h2" {
  const old = cluster.at("http2_protocol_options");
  isAnything(old, HTTP2_FIELDS);
  const extensions = cluster.at("typed_extension_protocol_options");
  if (extensions.isAbsent) return old.isAbsent ? "h1" : "h2";
  let protocol: "h1" | "h2" = "h1";
  for (const [name, options] of extensions.entries()) {
    if (name === HTTP_OPTIONS) protocol = readHttpOptions(options);
    else unsupported(options, "an extension of a cluster", `Known here is ${HTTP_OPTIONS}.`);
  }
  return protocol;
}

function readHttpOptions(options: Cursor): "h1" | "h2" {
  if (!options.isMap(["@type", "explicit_http_config"])) return "h1";
  const explicit = options.at("explicit_http_config");
  if (!explicit.isMap(["http_protocol_options", "http2_protocol_options"])) return "h1";
  const http1 = explicit.at("http_protocol_options");
  const http2 = explicit.at("http2_protocol_options");
  readHttp1Options(http1);
  isAnything(http2, HTTP2_FIELDS);
  if (!http1.isAbsent && !http2.isAbsent) http2.wrong("nothing beside http_protocol_options");
  return http2.isAbsent ? "h1" : "h2";
}

/** Trailers are always passed on: to ask for them is to ask for what is there. */
export function readHttp1Options(cursor: Cursor): void {
  if (cursor.isAbsent || !cursor.isMap(["accept_http_10", "enable_trailers"])) return;
  cursor.at("accept_http_10").flag(false);
  cursor.at("enable_trailers").flag(true);
}

/** Undefined: in clear, or what is there is wrong. */
export function readUpstreamTls(cluster: Cursor): UpstreamTls | undefined {
  const config = readTlsContext(cluster, "UpstreamTlsContext", CONTEXT_FIELDS);
  if (config === undefined) return undefined;
  const serverName = config.at("sni").text("").toLowerCase();
  const common = config.at("common_tls_context");
  const none = { authorities: "", certificate: "", privateKey: "" };
  const unverified = { serverName, acceptedNames: [serverName], isVerified: false, ...none };
  if (common.isAbsent) return unverified;
  if (!common.isMap(["validation_context", "tls_certificates", "alpn_protocols"]))
    return unverified;
  return { ...unverified, ...readValidation(common, config.at("sni")) };
}

/** Without authorities any certificate is taken, as in Envoy; with them its name is checked. */
function readValidation(common: Cursor, sni: Cursor): Partial<UpstreamTls> {
  const own = readPair(common.at("tls_certificates")) ?? {};
  const validation = common.at("validation_context");
  if (validation.isAbsent || !validation.isMap(["trusted_ca", NAMES])) return own;
  const authorities = readPem(validation.at("trusted_ca"), (pem) => new X509Certificate(pem));
  const names = readNames(validation.at(NAMES));
  if (names.length === 0 && sni.text("") === "") {
    sni.wrong("the name that the certificate must be for");
  }
  const acceptedNames = names.length === 0 ? [sni.text("").toLowerCase()] : names;
  return { ...own, isVerified: true, authorities, acceptedNames };
}

function readNames(cursor: Cursor): string[] {
  const items = cursor.isAbsent ? [] : cursor.items();
  return items.flatMap((item) => {
    if (!item.isMap(["san_type", "matcher"])) return [];
    item.at("san_type").choice(["DNS", "URI", "IP_ADDRESS"], "DNS");
    const matcher = item.at("matcher");
    return matcher.isMap(["exact"]) ? [matcher.at("exact").text(null)] : [];
  });
}
