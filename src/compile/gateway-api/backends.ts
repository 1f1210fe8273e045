//! Where a rule's `backendRefs` and mirrors lead: clusters, or an answer of 500.

import type { BackendObject } from "../../resources/kinds/route-fields.ts";
import { GATEWAY_API_GROUP } from "../../resources/kinds/route-fields.ts";
import type { Target } from "../../snapshot/snapshot.ts";
import type { MessageList } from "../messages.ts";
import { namespaceOf } from "../resource-index.ts";
import type { ServiceMap } from "../service.ts";
import type { ApiRoute } from "./attach.ts";
import type { Grants } from "./grants.ts";
import { refusal } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";

/** What the specification wants for a backend that is not there. */
const STATUS_FAULT = 500;

export interface RuleScope {
  readonly route: ApiRoute;
  readonly services: ServiceMap;
  readonly grants: Grants;
  readonly messages: MessageList;
  /** Takes what the route's condition ResolvedRefs has to tell. */
  readonly unresolved: Verdict[];
}

/** Of what a missing backend's share of the requests is answered. */
export function faultStatus({ kind }: ApiRoute): { readonly status?: number } {
  // A call is to end as UNAVAILABLE, which is what 503 becomes for gRPC.
  return kind === "GRPCRoute" ? {} : { status: STATUS_FAULT };
}

export function resolveBackend(
  backend: BackendObject,
  path: string,
  scope: RuleScope,
  outcome = `its share of the requests is answered ${faultStatus(scope.route).status ?? 503}`,
): Target {
  const found = findCluster(backend, scope);
  if (typeof found === "string") return { kind: "cluster", cluster: found, subset: null };
  scope.unresolved.push(found);
  scope.messages.add(scope.route, {
    severity: "error",
    code: "GL0277",
    path,
    message: `${found.message}: ${outcome}`,
    remedy: REMEDIES[found.reason] ?? "Correct the name and port, or apply the Service.",
  });
  return { kind: "missing", message: found.message, ...faultStatus(scope.route) };
}

const REMEDIES: Readonly<Record<string, string>> = {
  InvalidKind: "Name a Service.",
  RefNotPermitted: "Apply a ReferenceGrant in the Service's namespace.",
};

function findCluster(
  { group, kind, name, namespace: written, port }: BackendObject,
  { route, services, grants }: RuleScope,
): string | Verdict {
  if (group !== "" || kind !== "Service") {
    return refusal("InvalidKind", `the backend ${kind} ${name} is no Service`);
  }
  const own = namespaceOf(route);
  const namespace = written ?? own;
  const key = `${namespace}/${name}`;
  const from = { group: GATEWAY_API_GROUP, kind: route.kind, namespace: own };
  if (!grants.permits(from, { group, kind, namespace, name })) {
    const who = `${route.kind}s of ${own}`;
    return refusal("RefNotPermitted", `no ReferenceGrant lets ${who} use the Service ${key}`);
  }
  const service = services.get(key);
  if (service === undefined) return refusal("BackendNotFound", `no Service is ${key}`);
  const cluster = service.clusters.find((one) => one.port === port);
  if (cluster !== undefined) return cluster.name;
  return refusal("BackendNotFound", `the Service ${key} has no TCP port ${port ?? ""}`.trimEnd());
}
