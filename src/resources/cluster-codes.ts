//! Codes of what has to do with a Kubernetes cluster: `graylane controller` and `graylane inject`.

import type { CodeInfo } from "./codes.ts";

export const CLUSTER_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0630: {
    title: "A Kubernetes cluster cannot be reached as it is described",
    severity: "error",
    help:
      "The kubeconfig cannot be read, lacks a field, or uses what is not supported (`exec`, " +
      "`proxy-url` …); the message names it. [cluster.md](cluster.md) lists what is read.",
  },
  GL0631: {
    title: "A workload cannot be given a sidecar",
    severity: "error",
    help:
      "`graylane inject` prints nothing then. The Pod uses the network of its node, where the " +
      "ports of sidecars would collide; or it has a port or a container name that is the " +
      "sidecar's; or a part that is to be changed is an alias, which other parts share. A Pod " +
      'that is to have none says so by the annotation `graylane.io/sidecar: "false"`.',
  },
  GL0632: {
    title: "A container keeps a variable of its own",
    severity: "warning",
    help:
      "It says another value for one of those that tell an app where its sidecar is " +
      "(`http_proxy`, `no_proxy` …): its calls may pass the sidecar by, and with it the lanes. " +
      "Take it away, and inject again.",
  },
};
