//! networking.k8s.io Ingress, with the canary annotations of ingress-nginx and Higress.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { notHonoured, oneOf, port, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { anyStatus } from "./pod-template.ts";

export interface IngressSpec {
  /** `istio`: Istio's ingress gateway; every other class is served by one gateway of its own. */
  readonly ingressClassName?: string;
  /** Takes what no rule takes. */
  readonly defaultBackend?: IngressBackend;
  readonly rules?: readonly IngressRule[];
  readonly tls?: readonly IngressTls[];
}

export interface IngressTls {
  /** Absent or empty: every host. */
  readonly hosts?: readonly string[];
  /** Of the Ingress' namespace. */
  readonly secretName?: string;
}

export interface IngressRule {
  /** Absent: every host. */
  readonly host?: string;
  readonly http?: { readonly paths: readonly IngressPath[] };
}

export interface IngressPath {
  readonly path?: string;
  /** `Prefix` compares whole elements of the path; `ImplementationSpecific` is the same here. */
  readonly pathType: "Exact" | "Prefix" | "ImplementationSpecific";
  readonly backend: IngressBackend;
}

export interface IngressBackend {
  readonly service?: {
    readonly name: string;
    readonly port?: { readonly number?: number; readonly name?: string };
  };
}

export interface Ingress extends Resource {
  readonly spec: IngressSpec;
}

const backend = Type.Object(
  {
    service: Type.Optional(
      Type.Object({
        name: text("dns-1035-label"),
        port: Type.Optional(
          Type.Object(
            { number: Type.Optional(port()), name: Type.Optional(text()) },
            { exactlyOneOf: ["number", "name"] },
          ),
        ),
      }),
    ),
    resource: notHonoured(),
  },
  { exactlyOneOf: ["service", "resource"] },
);

const path = Type.Object({
  path: Type.Optional(text("ingress-path")),
  pathType: oneOf(["Exact", "Prefix", "ImplementationSpecific"]),
  backend,
});

const spec = Type.Object({
  ingressClassName: Type.Optional(text("dns-subdomain")),
  defaultBackend: Type.Optional(backend),
  rules: Type.Optional(
    Type.Array(
      Type.Object({
        host: Type.Optional(text("virtual-service-host")),
        http: Type.Optional(Type.Object({ paths: Type.Array(path, { minItems: 1 }) })),
      }),
    ),
  ),
  tls: Type.Optional(
    Type.Array(
      Type.Object({
        hosts: Type.Optional(Type.Array(text("virtual-service-host"))),
        secretName: Type.Optional(text("dns-subdomain")),
      }),
    ),
  ),
});

export const INGRESS: KindInfo = defineKind({
  kind: "Ingress",
  plural: "ingresses",
  singular: "ingress",
  shortNames: ["ing"],
  group: "networking.k8s.io",
  versions: ["v1"],
  schema: Type.Object({
    spec: described<IngressSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("CLASS", (object) => (object as Ingress).spec.ingressClassName ?? "<none>"),
    column("HOSTS", (object) => {
      const hosts = ((object as Ingress).spec.rules ?? []).map(({ host }) => host ?? "*");
      return hosts.length === 0 ? "*" : hosts.join(",");
    }),
  ],
});
