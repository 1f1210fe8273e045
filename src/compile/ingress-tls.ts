//! TLS of Ingresses: port 443 with the Secrets that they name, and redirects to it.

import type { Gateway as GatewayResource } from "../resources/kinds/gateway.ts";
import type { Ingress } from "../resources/kinds/ingress.ts";
import type { RedirectAction } from "../snapshot/routing.ts";
import type { IngressOptions } from "./ingress-annotations.ts";
import { isWithin } from "./route-table.ts";

export const HTTPS_PORT = 443;
const EVERY_HOST = ["*"];
/** As ingress-nginx has it. */
const TO_SECURE: RedirectAction = {
  kind: "redirect",
  status: 308,
  scheme: "https",
  port: "scheme",
};

/** In Istio's form: a server for each entry of `spec.tls`, in its order. */
export function secureGateways(
  ingresses: readonly Ingress[],
  selectorOf: (ingress: Ingress) => Readonly<Record<string, string>>,
): GatewayResource[] {
  return ingresses.flatMap((ingress) => {
    const { apiVersion, kind, metadata, spec } = ingress;
    const { tls = [] } = spec;
    if (tls.length === 0) return [];
    const { name, namespace = "default" } = metadata;
    const servers = tls.map(({ hosts = EVERY_HOST, secretName }) => ({
      port: { number: HTTPS_PORT, name: "https", protocol: "HTTPS" as const },
      hosts: hosts.length === 0 ? EVERY_HOST : hosts,
      tls: { mode: "SIMPLE" as const, credentialName: secretName ?? "" },
    }));
    // Without its annotations, which say nothing of a Gateway.
    const own = { name, namespace };
    return [{ apiVersion, kind, metadata: own, spec: { selector: selectorOf(ingress), servers } }];
  });
}

/** What a path's options are in clear: a redirect, where the Ingress wants TLS for the host. */
export function optionsInClear(
  { spec: { tls = [] } }: Ingress,
  domain: string,
  options: IngressOptions,
): IngressOptions {
  const { toSecure } = options;
  if (toSecure === "never") return options;
  const isSecured = tls.some(({ hosts = EVERY_HOST }) =>
    hosts.some((host) => isWithin(domain, host.toLowerCase())),
  );
  if (toSecure === "with-tls" && !isSecured) return options;
  return { ...options, redirect: TO_SECURE };
}
