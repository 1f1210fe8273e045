//! Certificates and keys as Envoy's secrets (SDS): apart from listeners and clusters, so that a new
//! certificate is no change of these, and no connection ends.

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef } from "../snapshot/snapshot.ts";
import type { TlsFiles, TlsServer, UpstreamTls } from "../snapshot/tls.ts";
import { FROM_ADS } from "./envoy-config.ts";
import type { EnvoyResource } from "./envoy-config.ts";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
export const DOWNSTREAM_TLS: string = `${TLS}.DownstreamTlsContext`;
export const UPSTREAM_TLS: string = `${TLS}.UpstreamTlsContext`;
export const TLS_SOCKET = "envoy.transport_sockets.tls";

/** PEM, or the files that have it; `""` and absent: there is none. */
type Material = Pick<UpstreamTls, "authorities" | "certificate" | "privateKey" | "files">;

/** What a TLS context asks for by name, and what is told of that. */
export interface Secrets {
  readonly certificate: EnvoyResource | null;
  readonly authorities: EnvoyResource | null;
}

const KINDS = ["certificate", "authorities"] as const;

export function isSecretName(name: string): boolean {
  return KINDS.some((kind) => name.startsWith(`${kind}|`));
}

/** `owner` tells them apart: the same whatever the certificates are. */
export function secretsOf(owner: string, material: Material, source: ObjectRef): Secrets {
  const { authorities, certificate, privateKey, files = {} } = material;
  const make = (kind: (typeof KINDS)[number], content: JsonObject): EnvoyResource => {
    const name = `${kind}|${owner}`;
    const json = { name, ...content };
    return { name, json, parts: [{ source, json }], needs: [] };
  };
  const chain = textOrFile(certificate, files.certificate);
  const key = textOrFile(privateKey, files.keyOfCertificate);
  const trusted = textOrFile(authorities, files.authorities);
  return {
    certificate:
      chain === null || key === null
        ? null
        : make("certificate", {
            tls_certificate: {
              ...{ certificate_chain: chain, private_key: key },
              ...watched(certificate, files, "certificate"),
            },
          }),
    authorities:
      trusted === null
        ? null
        : make("authorities", {
            validation_context: {
              trusted_ca: trusted,
              ...watched(authorities, files, "authorities"),
            },
          }),
  };
}

/** Of a listener's server. */
export function serverSecrets(owner: string, server: TlsServer, source: ObjectRef): Secrets {
  const { clientCa, certificate, privateKey } = server;
  return secretsOf(owner, { authorities: clientCa, certificate, privateKey }, source);
}

export function listOf({ certificate, authorities }: Secrets): EnvoyResource[] {
  return [certificate, authorities].flatMap((secret) => secret ?? []);
}

/** Envoy's JSON of "the secret of that name". */
export function byName({ name }: EnvoyResource): JsonObject {
  return { name, sds_config: FROM_ADS };
}

/** Envoy reads files on its own machine. */
function textOrFile(text: string, filename: string | undefined): JsonObject | null {
  if (text !== "") return { inline_string: text };
  return filename === undefined ? null : { filename };
}

/** Envoy reads them again when another file is moved into their folder. */
function watched(text: string, files: TlsFiles, name: "certificate" | "authorities"): JsonObject {
  const path = files[name];
  if (text !== "" || path === undefined) return {};
  const folder = path.slice(0, path.lastIndexOf("/"));
  return { watched_directory: { path: folder === "" ? "/" : folder } };
}
