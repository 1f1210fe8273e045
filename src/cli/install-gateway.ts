//! An Envoy that is a gateway of the cluster: its bootstrap stands in its arguments, where
//! Kubernetes fills in the Pod's name, so that each replica has a name of its own.

import { bootstrapOf } from "./envoy-bootstrap.ts";
import { CONTAINER_SECURITY, NAME, podSecurity, XDS_PORT } from "./install-manifests.ts";

export interface GatewayInstall {
  /** The selector of the Gateways that it is, `istio=ingressgateway`. */
  readonly gateway: string;
  readonly image: string;
  /** The controller's. */
  readonly namespace: string;
}

const GATEWAY = "graylane-gateway";
const REPLICAS = 2;
/** Of the `envoy` user in Envoy's images. */
const USER_ID = 101;
/** Gateway ports below 1024, which only root may open everywhere, and what is opened instead. */
const PORTS = [
  { name: "http", port: 80, open: 8_080 },
  { name: "https", port: 443, open: 8_443 },
] as const;
const LABELS = { "app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "gateway" };

/** Throws a `CliError` (usage) when the labels are none. */
export function gatewayManifests(given: GatewayInstall): readonly object[] {
  const { namespace } = given;
  const ports = PORTS.map(({ name, port }) => ({ name, port, targetPort: name }));
  return [
    deployment(given),
    {
      ...{ apiVersion: "v1", kind: "Service" },
      metadata: { name: GATEWAY, namespace, labels: LABELS },
      spec: { type: "LoadBalancer", selector: LABELS, ports },
    },
  ];
}

function deployment({ gateway, image, namespace }: GatewayInstall): object {
  const bootstrap = bootstrapOf({
    ...{ role: "gateway", gateway, id: "$(POD_NAME)", xdsMode: "delta", bind: "0.0.0.0" },
    ...{ xds: `${NAME}.${namespace}.svc:${XDS_PORT}`, admin: "127.0.0.1:15000" },
    mapPort: PORTS.map(({ port, open }) => `${port}=${open}`),
  });
  const container = {
    ...{ name: "envoy", image, command: ["envoy"] },
    args: ["--config-yaml", JSON.stringify(bootstrap), "--log-level", "warning"],
    env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    ports: PORTS.map(({ name, open }) => ({ name, containerPort: open })),
    // Its admin endpoints are for the Pod alone: that it listens says that it has listeners.
    readinessProbe: { tcpSocket: { port: "http" } },
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "1Gi" } },
    securityContext: CONTAINER_SECURITY,
  };
  return {
    ...{ apiVersion: "apps/v1", kind: "Deployment" },
    metadata: { name: GATEWAY, namespace, labels: LABELS },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          ...{ automountServiceAccountToken: false, terminationGracePeriodSeconds: 60 },
          containers: [container],
          securityContext: podSecurity(USER_ID),
        },
      },
    },
  };
}
