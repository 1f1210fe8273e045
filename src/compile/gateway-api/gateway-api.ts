//! The Gateway API as a whole: its Gateways in the form of all others, its routes' virtual hosts,
//! and what the statuses of its objects say.

import type { Gateway } from "../../resources/kinds/gateway.ts";
import type { RouteTable } from "../../snapshot/snapshot.ts";
import { routeTableName, selectorName } from "../gateway.ts";
import type { LostPort } from "../gateway.ts";
import { mergedHosts } from "../ingress.ts";
import type { MessageList } from "../messages.ts";
import { keyOf } from "../resource-index.ts";
import type { ResourceIndex } from "../resource-index.ts";
import type { ServiceMap } from "../service.ts";
import { attachRoutes } from "./attach.ts";
import type { ApiRoute, RouteModel } from "./attach.ts";
import type { RuleScope } from "./backends.ts";
import { Grants } from "./grants.ts";
import { compileGrpcRoute } from "./grpc-rules.ts";
import { compileHttpRoute } from "./http-rules.ts";
import { modelGateway } from "./listeners.ts";
import type { ApiGatewayModel } from "./listeners.ts";
import type { CompiledRoute } from "./rules.ts";
import { apiStatuses } from "./status.ts";
import type { ApiStatus } from "./status.ts";
import { virtualHostsOf } from "./tables.ts";

export class GatewayApi {
  readonly #index: ResourceIndex;
  readonly #messages: MessageList;
  readonly #grants: Grants;
  readonly #gateways: readonly ApiGatewayModel[];
  readonly #routes: readonly RouteModel[];
  #compiled: ReadonlyMap<ApiRoute, CompiledRoute> = new Map();

  constructor(index: ResourceIndex, messages: MessageList) {
    this.#index = index;
    this.#messages = messages;
    const { apiGateways, secrets, namespaces, httpRoutes, grpcRoutes } = index;
    const grants = new Grants(index.referenceGrants);
    this.#grants = grants;
    this.#gateways = apiGateways.map((gateway) =>
      modelGateway({ gateway, secrets, grants, messages }),
    );
    const gateways = new Map(this.#gateways.map((one) => [keyOf(one.resource), one]));
    this.#routes = attachRoutes([...httpRoutes, ...grpcRoutes], { gateways, namespaces, messages });
  }

  /** The Gateways, as Istio's resources would say it. */
  get shaped(): Gateway[] {
    return this.#gateways.map(({ shaped }) => shaped);
  }

  /** Whether a route at one of the logical gateways matches on the header. */
  matchesHeader(at: readonly string[], header: string): boolean {
    return this.#routes.some(({ route, parents }) => {
      const isThere = parents.some(({ attached }) =>
        attached.some(({ gateway }) => at.includes(logicalName(gateway))),
      );
      return isThere && headersOf(route).includes(header);
    });
  }

  /** Adds the routes' virtual hosts to the tables. */
  addRoutes(
    tables: Readonly<Record<string, RouteTable>>,
    services: ServiceMap,
  ): Record<string, RouteTable> {
    const compiled = new Map<ApiRoute, CompiledRoute>();
    const { httpRoutes, grpcRoutes } = this.#index;
    for (const route of httpRoutes) {
      compiled.set(route, compileHttpRoute(route, this.#scope(route, services)));
    }
    for (const route of grpcRoutes) {
      compiled.set(route, compileGrpcRoute(route, this.#scope(route, services)));
    }
    this.#compiled = compiled;
    const result = { ...tables };
    for (const gateway of this.#gateways) {
      const byPort = virtualHostsOf(gateway, this.#routes, this.#compiled);
      for (const [port, hosts] of byPort) {
        const name = routeTableName(logicalName(gateway), port);
        result[name] = { name, virtualHosts: mergedHosts(tables[name]?.virtualHosts ?? [], hosts) };
      }
    }
    return result;
  }

  /** Clusters that calls of GRPCRoutes go to: they speak HTTP/2, whatever their port is named. */
  get grpcClusters(): ReadonlySet<string> {
    const clusters = new Set<string>();
    for (const [route, { ranked }] of this.#compiled) {
      if (route.kind !== "GRPCRoute") continue;
      for (const { action } of ranked.map((one) => one.route)) {
        if (action.kind !== "forward") continue;
        for (const { target } of action.destinations) {
          if (target.kind === "cluster") clusters.add(target.cluster);
        }
      }
    }
    return clusters;
  }

  /** By `refText`. After `addRoutes`. */
  statuses(lost: readonly LostPort[], address: string | null): Map<string, ApiStatus> {
    const lostPorts = new Map(
      this.#gateways.map((model) => {
        const own = lost.filter(({ resource }) => resource === model.shaped);
        return [model, new Set(own.map(({ port }) => port))];
      }),
    );
    return apiStatuses({
      classes: this.#index.gatewayClasses,
      gateways: this.#gateways,
      routes: this.#routes,
      compiled: this.#compiled,
      lostPorts,
      address,
    });
  }

  #scope(route: ApiRoute, services: ServiceMap): RuleScope {
    return { route, services, grants: this.#grants, messages: this.#messages, unresolved: [] };
  }
}

function logicalName({ shaped }: ApiGatewayModel): string {
  return selectorName(shaped.spec.selector);
}

function headersOf({ spec }: ApiRoute): string[] {
  return (spec.rules ?? []).flatMap(({ matches = [] }) =>
    matches.flatMap(({ headers = [] }) => headers.map(({ name }) => name.toLowerCase())),
  );
}
