//! `trafficPolicy.tls` of a DestinationRule: how the endpoints of a host are spoken to in TLS.

import Type from "../typebox.ts";
import type { TObject } from "typebox";
import { notHonouredFields, oneOf, text } from "./fields.ts";

export interface ClientTlsSettings {
  /** Absent: DISABLE. */
  readonly mode?: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
  /** Files that each worker reads; `caCertificates` may also be `system`. */
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  readonly caCertificates?: string;
  /** A Secret, in the place of the files. */
  readonly credentialName?: string;
  /** The certificate must be for one of them; absent: for the server name. */
  readonly subjectAltNames?: readonly string[];
  /** Absent: the host's full name. */
  readonly sni?: string;
  readonly insecureSkipVerify?: boolean;
}

export const clientTls: TObject = Type.Object({
  mode: Type.Optional(oneOf(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])),
  clientCertificate: Type.Optional(text("file-path")),
  privateKey: Type.Optional(text("file-path")),
  caCertificates: Type.Optional(text("authorities-path")),
  credentialName: Type.Optional(text("dns-subdomain")),
  subjectAltNames: Type.Optional(Type.Array(text())),
  sni: Type.Optional(text("server-name")),
  insecureSkipVerify: Type.Optional(Type.Boolean()),
  ...notHonouredFields("caCrl"),
});
