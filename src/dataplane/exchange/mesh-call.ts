//! A call between pods that follows the routes of a VirtualService for the mesh.
//!
//! As at a gateway, a route whose destination names a lane puts the request into it. A subset that
//! is no lane's is for this one hop: the hops behind it are in the request's lane again.

import type { Headers } from "../../http/headers.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { LaneDecision } from "../../lane/decide.ts";
import { chooseEndpoints } from "../../lane/fallback.ts";
import type { EndpointChoice } from "../../lane/fallback.ts";
import { matchRoute, pickDestination } from "../../route/route.ts";
import type { FieldValue, PreparedRouteTable, RouteRequest } from "../../route/route.ts";
import type { Route, Target, WeightedDestination } from "../../snapshot/snapshot.ts";
import { applyHeaderOperations } from "../filter/header-operations.ts";
import { proxyError } from "../proxy-error.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Exchange } from "./exchange.ts";
import { missingError } from "./gateway-replies.ts";
import { startMirrors } from "./mirror.ts";
import { SpecialRoute } from "./special-route.ts";

export type ClusterTarget = Extract<Target, { kind: "cluster" }>;

/** The endpoints that a route leads to. */
export interface MeshHop {
  readonly route: Route;
  readonly target: ClusterTarget;
  readonly choice: EndpointChoice;
}

/** What a call does whose route has been found. */
export interface MeshCallOwner {
  /** Of the call towards this target. */
  decide(target: ClusterTarget): LaneDecision | null;
  forward(hop: MeshHop): void;
}

export class MeshCall {
  readonly #exchange: Exchange;
  readonly #runtime: Runtime;
  readonly #owner: MeshCallOwner;
  #route: Route | null = null;
  #destination: WeightedDestination | null = null;
  #special: SpecialRoute | null = null;

  constructor(exchange: Exchange, runtime: Runtime, owner: MeshCallOwner) {
    this.#exchange = exchange;
    this.#runtime = runtime;
    this.#owner = owner;
  }

  run(table: PreparedRouteTable): void {
    const exchange = this.#exchange;
    const request = new MeshRequest(exchange.head);
    const route = matchRoute(table, request);
    if (route === null) {
      const { authority, target } = exchange.head;
      const message = `no route for calls between pods takes ${authority}${target}`;
      exchange.fail(proxyError("no_route", message));
      return;
    }
    this.#route = route;
    exchange.routeId = route.id;
    const prepared = table.special.get(route);
    if (prepared === undefined) {
      this.#take(route);
      return;
    }
    this.#special = new SpecialRoute(exchange, prepared);
    this.#special.run(request, () => {
      this.#take(route);
    });
  }

  onResponse(headers: Headers): void {
    this.#special?.onResponse(headers);
    if (this.#route !== null) applyHeaderOperations(this.#route.responseHeaders, headers);
    const destination = this.#destination;
    if (destination !== null) applyHeaderOperations(destination.responseHeaders, headers);
  }

  onEnd(): void {
    this.#special?.end();
  }

  #take(route: Route): void {
    const exchange = this.#exchange;
    const { action } = route;
    if (action.kind === "direct") {
      exchange.reply(action.status, action.body, null);
      return;
    }
    const destinations = action.kind === "forward" ? action.destinations : [];
    const destination = pickDestination(destinations, exchange.context.prng);
    if (destination === null) {
      exchange.fail(proxyError("route_target_missing", `route ${route.id} has no destination`));
      return;
    }
    this.#destination = destination;
    this.#send(route, destination);
  }

  #send(route: Route, destination: WeightedDestination): void {
    const { target: wanted, fallback } = destination;
    const exchange = this.#exchange;
    const { lanes } = this.#runtime;
    const decision = wanted.kind === "cluster" ? this.#owner.decide(wanted) : null;
    applyHeaderOperations(route.requestHeaders, exchange.head.headers);
    applyHeaderOperations(destination.requestHeaders, exchange.head.headers);
    const choice = chooseEndpoints(lanes, {
      target: wanted,
      fallback,
      group: decision?.group ?? null,
      lane: decision?.lane ?? null,
    });
    const target = choice.via ?? wanted;
    if (choice.missing !== null || target.kind !== "cluster") {
      exchange.fail(missingError(destination, decision, choice.missing ?? "it leads nowhere"));
      return;
    }
    const mirrors = route.policy?.mirrors;
    if (mirrors !== undefined) exchange.mirrorTo(startMirrors(exchange, mirrors, lanes));
    this.#owner.forward({ route, target, choice });
  }
}

/** What a route's matches ask. */
class MeshRequest implements RouteRequest {
  readonly #head: RequestHead;

  constructor(head: RequestHead) {
    this.#head = head;
  }

  get method(): string {
    return this.#head.method;
  }

  get path(): string {
    return this.#head.target;
  }

  get authority(): string {
    return this.#head.authority;
  }

  header(name: string): FieldValue {
    return this.#head.headers.find(name);
  }
}
