//! What a cluster needs to run `graylane controller`: its rights are those that it uses, no more.

import { CLUSTER_KINDS, isBuiltIn } from "../resources/cluster-kinds.ts";
import { definitionsOf } from "../resources/crd.ts";

export interface InstallOptions {
  readonly namespace: string;
  readonly image: string;
  readonly replicas: number;
  /** Groups whose CRDs are among the objects. */
  readonly groups: readonly string[];
}

export const NAME = "graylane";
export const LEASE_NAME: string = NAME;
export const NAMESPACE_DEFAULT = "graylane-system";
/** The version that the tests run. */
export const ENVOY_IMAGE_DEFAULT = "envoyproxy/envoy:v1.40.0";
/** As in Istio, so that habits carry over. */
export const XDS_PORT = 15_010;
const HEALTH_PORT = 15_014;
/** Of the `node` user in Node's images. */
const USER_ID = 1_000;
const READ = ["get", "list", "watch"];
const RBAC = "rbac.authorization.k8s.io";
/** Pods that ask for more than these do are refused there. */
const RESTRICTED = { "pod-security.kubernetes.io/enforce": "restricted" };
/** What that asks of a container, and of its Pod. */
export const CONTAINER_SECURITY: object = {
  ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
  capabilities: { drop: ["ALL"] },
};
const LABELS = { "app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "controller" };

export function installManifests(options: InstallOptions): readonly object[] {
  const { namespace } = options;
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: RESTRICTED } },
    ...definitionsOf(options.groups),
    ...rights(namespace),
    deployment(options),
    service(namespace),
  ];
}

/** Without the workload: enough for a controller that runs elsewhere. */
export function rights(namespace: string): readonly object[] {
  const subjects = [{ kind: "ServiceAccount", name: NAME, namespace }];
  const inNamespace = { name: NAME, namespace, labels: LABELS };
  const everywhere = { name: NAME, labels: LABELS };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: inNamespace },
    { apiVersion: `${RBAC}/v1`, kind: "ClusterRole", metadata: everywhere, rules: clusterRules() },
    {
      ...{ apiVersion: `${RBAC}/v1`, kind: "ClusterRoleBinding", metadata: everywhere, subjects },
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: NAME },
    },
    { apiVersion: `${RBAC}/v1`, kind: "Role", metadata: inNamespace, rules: leaseRules() },
    {
      ...{ apiVersion: `${RBAC}/v1`, kind: "RoleBinding", metadata: inNamespace, subjects },
      roleRef: { apiGroup: RBAC, kind: "Role", name: NAME },
    },
  ];
}

function clusterRules(): readonly object[] {
  const groups = [...new Set(CLUSTER_KINDS.map(({ group }) => group))];
  const read = groups.map((group) => {
    const kinds = CLUSTER_KINDS.filter((info) => info.group === group);
    return { apiGroups: [group], resources: kinds.map(({ plural }) => plural), verbs: READ };
  });
  const owned = CLUSTER_KINDS.filter((info) => !isBuiltIn(info));
  const status = [...new Set(owned.map(({ group }) => group))].map((group) => {
    const kinds = owned.filter((info) => info.group === group);
    const resources = kinds.map(({ plural }) => `${plural}/status`);
    return { apiGroups: [group], resources, verbs: ["patch"] };
  });
  const definitions = {
    ...{ apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"] },
    verbs: READ,
  };
  const events = { apiGroups: [""], resources: ["events"], verbs: ["create"] };
  return [...read, definitions, ...status, events];
}

/** Creating cannot be limited to a name. */
function leaseRules(): readonly object[] {
  const leases = { apiGroups: ["coordination.k8s.io"], resources: ["leases"] };
  return [
    { ...leases, verbs: ["create", "list", "watch"] },
    { ...leases, resourceNames: [LEASE_NAME], verbs: ["get", "update"] },
  ];
}

function deployment({ namespace, image, replicas }: InstallOptions): object {
  const probe = (path: string): object => ({ httpGet: { path, port: "health" } });
  const container = {
    ...{ name: "controller", image },
    args: ["controller", "--xds", `0.0.0.0:${XDS_PORT}`, "--health", `0.0.0.0:${HEALTH_PORT}`],
    env: [{ name: "GRAYLANE_STATE", value: "/tmp/graylane" }],
    ports: [
      { name: "grpc-xds", containerPort: XDS_PORT },
      { name: "health", containerPort: HEALTH_PORT },
    ],
    readinessProbe: probe("/readyz"),
    livenessProbe: { ...probe("/healthz"), initialDelaySeconds: 10 },
    resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "2Gi" } },
    securityContext: CONTAINER_SECURITY,
    volumeMounts: [{ name: "state", mountPath: "/tmp" }],
  };
  return {
    ...{ apiVersion: "apps/v1", kind: "Deployment" },
    metadata: { name: NAME, namespace, labels: LABELS },
    spec: {
      replicas,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          ...{ serviceAccountName: NAME, terminationGracePeriodSeconds: 30 },
          containers: [container],
          securityContext: podSecurity(USER_ID),
          // Twice what fetched modules may take.
          volumes: [{ name: "state", emptyDir: { sizeLimit: "1Gi" } }],
        },
      },
    },
  };
}

export function podSecurity(user: number): object {
  return {
    ...{ runAsNonRoot: true, runAsUser: user, fsGroup: user },
    seccompProfile: { type: "RuntimeDefault" },
  };
}

function service(namespace: string): object {
  const port = { name: "grpc-xds", port: XDS_PORT, targetPort: "grpc-xds" };
  return {
    ...{ apiVersion: "v1", kind: "Service" },
    metadata: { name: NAME, namespace, labels: LABELS },
    spec: { selector: LABELS, ports: [port] },
  };
}
