//! networking.istio.io Gateway: the listeners of the proxies that its selector names.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { accepted, labels, notHonoured, notHonouredFields, oneOf, port, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { anyStatus } from "./pod-template.ts";

export interface GatewaySpec {
  readonly selector: Labels;
  readonly servers: readonly GatewayServer[];
}

export interface GatewayServer {
  readonly port: {
    readonly number: number;
    readonly name?: string;
    readonly protocol: GatewayProtocol;
  };
  /** `*`, `*.example.com`, `example.com`, each optionally `namespace/host`. */
  readonly hosts: readonly string[];
  readonly name?: string;
  readonly tls?: {
    readonly mode?: string;
    readonly credentialName?: string;
    readonly httpsRedirect?: boolean;
    readonly minProtocolVersion?: string;
    readonly maxProtocolVersion?: string;
  };
}

export type GatewayProtocol =
  "HTTP" | "HTTPS" | "GRPC" | "GRPC-WEB" | "HTTP2" | "MONGO" | "TCP" | "TLS";

export interface Gateway extends Resource {
  readonly spec: GatewaySpec;
}

const version = (): ReturnType<typeof oneOf> =>
  oneOf(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"], {
    honoured: ["TLS_AUTO", "TLSV1_2", "TLSV1_3"],
  });

const tls = Type.Object({
  mode: Type.Optional(
    oneOf(
      [
        ...["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"],
        "OPTIONAL_MUTUAL",
      ],
      { honoured: ["SIMPLE", "MUTUAL"] },
    ),
  ),
  credentialName: Type.Optional(text()),
  httpsRedirect: Type.Optional(Type.Boolean()),
  minProtocolVersion: Type.Optional(version()),
  maxProtocolVersion: Type.Optional(version()),
  ...notHonouredFields(
    ...(["credentialNames", "serverCertificate", "privateKey", "caCertificates"] as const),
    ...(["caCrl", "subjectAltNames", "verifyCertificateSpki"] as const),
    ...(["verifyCertificateHash", "cipherSuites", "tlsCertificates"] as const),
  ),
});

const server = Type.Object({
  port: Type.Object({
    number: port(),
    name: Type.Optional(text()),
    protocol: oneOf(["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS"], {
      honoured: ["HTTP", "HTTPS"],
    }),
    targetPort: accepted(),
  }),
  hosts: Type.Array(text("gateway-host"), { minItems: 1 }),
  name: Type.Optional(Type.String()),
  bind: notHonoured(),
  tls: Type.Optional(tls),
  defaultEndpoint: accepted(),
});

const spec = Type.Object({
  selector: labels(),
  servers: Type.Array(server, { minItems: 1 }),
});

export const GATEWAY: KindInfo = defineKind({
  kind: "Gateway",
  plural: "gateways",
  singular: "gateway",
  shortNames: ["gw"],
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  schema: Type.Object({ spec: described<GatewaySpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("PORTS", (object) =>
      (object as Gateway).spec.servers
        .map((each) => `${each.port.number}/${each.port.protocol}`)
        .join(","),
    ),
    column("HOSTS", (object) => {
      const hosts = (object as Gateway).spec.servers.flatMap((each) => each.hosts);
      return [...new Set(hosts)].join(",");
    }),
  ],
});
