//! Objects for the tests under load: a gateway, and services that answer with who they are.

import type { Resource } from "../../src/resources/object.ts";

const IMAGE = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";
export const VERSION_HEADER = "x-config-version";

export const GATEWAY: Resource = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "ingressgateway", namespace: "istio-system" },
  spec: {
    selector: { istio: "ingressgateway" },
    servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
  },
};

export function service(name: string): Resource {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 8000, targetPort: 8000 }] },
  };
}

export interface DeploymentWish {
  readonly app: string;
  /** What the answer says; it is the lane's name where there is a lane. */
  readonly version: string;
  readonly replicas?: number;
  /** Value of the label `lane`; absent: a pod of the baseline. */
  readonly lane?: string;
  readonly upstreamUrl?: string;
}

export function deployment(wish: DeploymentWish): Resource {
  const { app, version, replicas = 1, lane, upstreamUrl } = wish;
  const name = `${app}-${lane ?? "base"}`;
  const labels = { app, track: lane ?? "base", ...(lane === undefined ? {} : { lane }) };
  const env = [
    { name: "app", value: app },
    { name: "version", value: version },
    ...(upstreamUrl === undefined ? [] : [{ name: "upstream_url", value: upstreamUrl }]),
  ];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: { app, track: lane ?? "base" } },
      template: {
        metadata: { labels },
        spec: {
          containers: [{ name: "main", image: IMAGE, env, ports: [{ containerPort: 8000 }] }],
        },
      },
    },
  };
}

/** Sends everything to `host`, a service or another host; each answer carries the version. */
export function virtualService(host: string, version: number): Resource {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web", namespace: "default" },
    spec: {
      gateways: ["istio-system/ingressgateway"],
      hosts: ["*"],
      http: [
        {
          name: "web",
          headers: { response: { set: { [VERSION_HEADER]: String(version) } } },
          route: [{ destination: { host: hostOf(host) } }],
        },
      ],
    },
  };
}

/** The apps forward `x-user-id` alone: their sidecars keep the lane by it. */
export function laneGroup(services: readonly string[]): Resource {
  return {
    apiVersion: "graylane.io/v1alpha1",
    kind: "LaneGroup",
    metadata: { name: "shop", namespace: "default" },
    spec: {
      entry: { gateways: [{ name: "ingressgateway", namespace: "istio-system" }] },
      services: services.map((name) => ({ name })),
      baseline: { labelKeys: ["lane"] },
      fallback: "permissive",
      context: { mode: "traceId", routeHeader: "x-lane", traceHeader: "x-user-id" },
    },
  };
}

/** Takes the requests with the header `canary: <name>`. */
export function lane(name: string): Resource {
  return {
    apiVersion: "graylane.io/v1alpha1",
    kind: "Lane",
    metadata: { name, namespace: "default" },
    spec: {
      group: "shop",
      tag: name,
      selector: { matchLabels: { lane: name } },
      rule: { header: "canary", operator: "==", value: name },
    },
  };
}

const PLUGIN_IMAGE =
  "registry-cn-hangzhou.ack.aliyuncs.com/acs/asm-wasm-hash-tagging:v1.22.6.2-g72656ba-aliyun";
export const TAG_HEADER = "x-tag";

/** Tags every user with the version, so that the plug-in is configured anew with each. */
export function wasmPlugin(version: number): Resource {
  const policies = [{ range: 100, tagValue: `p${version}` }];
  return {
    apiVersion: "extensions.istio.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name: "tagging", namespace: "istio-system" },
    spec: {
      selector: { matchLabels: { istio: "ingressgateway" } },
      url: PLUGIN_IMAGE,
      phase: "AUTHN",
      pluginConfig: {
        rules: [{ header: "x-user-id", modulo: 100, tagHeader: TAG_HEADER, policies }],
      },
    },
  };
}

/** A service of the default namespace; with a dot it is a host already. */
function hostOf(name: string): string {
  return name.includes(".") ? name : `${name}.default.svc.cluster.local`;
}

/** Terminates TLS on port 443 with the certificate of the Secret `web-tls`. */
export const SECURE_GATEWAY: Resource = {
  ...GATEWAY,
  spec: {
    selector: { istio: "ingressgateway" },
    servers: [
      { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] },
      {
        port: { number: 443, name: "https", protocol: "HTTPS" },
        hosts: ["*"],
        tls: { mode: "SIMPLE", credentialName: "web-tls" },
      },
    ],
  },
};

export function tlsSecret(of: {
  readonly certificate: string;
  readonly privateKey: string;
}): Resource {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "web-tls", namespace: "istio-system" },
    type: "kubernetes.io/tls",
    data: { "tls.crt": base64(of.certificate), "tls.key": base64(of.privateKey) },
  };
}

/** A server outside of the cluster, on this machine. */
export function outsideHost(name: string, ...ports: readonly number[]): Resource {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name, namespace: "default" },
    spec: {
      hosts: [`${name}.outside.test`],
      location: "MESH_EXTERNAL",
      resolution: "STATIC",
      ports: [{ number: 8000, name: "http", protocol: "HTTP" }],
      endpoints: ports.map((http) => ({ address: "127.0.0.1", ports: { http } })),
    },
  };
}

/** As `virtualService`, with `/echo` sent to `outsideHost("echo")`. */
export function withEcho(host: string, version: number): Resource {
  const resource = virtualService(host, version);
  const { http, ...spec } = resource.spec as { readonly http: readonly object[] };
  const echo = {
    name: "echo",
    match: [{ uri: { prefix: "/echo" } }],
    route: [{ destination: { host: "echo.outside.test", port: { number: 8000 } } }],
  };
  return { ...resource, spec: { ...spec, http: [echo, ...http] } };
}
