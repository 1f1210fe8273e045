//! A call that a pod makes: restore its lane, pick the lane's endpoint of the called service.

import type { Prng } from "../../base/prng.ts";
import { decisionByRoute } from "../../lane/decide.ts";
import type { LaneDecision, PreparedLaneGroup } from "../../lane/decide.ts";
import { contextTag, isSentOutside, outboundTag, rememberedTag } from "../../lane/context.ts";
import { drawPoint, indexAt, weightSums } from "../../lane/endpoint-weights.ts";
import { BASELINE_NAME, chooseEndpoints } from "../../lane/fallback.ts";
import type { EndpointChoice, PreparedCluster } from "../../lane/fallback.ts";
import { decisionByCaller, withGroup } from "../../lane/group.ts";
import type { HeaderLookup } from "../../lane/program.ts";
import type { Headers } from "../../http/headers.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type { Cluster, Endpoint, Route, Subset, Workload } from "../../snapshot/snapshot.ts";
import { contextLookup, removeContext, writeContext } from "../filter/lane-context.ts";
import { believedTag, writeSigned } from "../filter/signed-context.ts";
import type { OnRefused, SignedGroup } from "../filter/signed-context.ts";
import type { ExchangeRecord } from "../observer.ts";
import { REQUEST_ID_HEADER, idsOf } from "../recent-hops.ts";
import type { HopNote } from "../recent-hops.ts";
import { isLoopback } from "../loopback.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { MeshHost } from "../../lane/host-index.ts";
import type { PodState } from "../runtime/pod-state.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { speaksHttp2 } from "../upstream/cluster-policy.ts";
import type { Exchange } from "./exchange.ts";
import { UNMANAGED } from "./handler.ts";
import type { ExchangeHandler, ForwardPlan, Management, ResponseDraft } from "./handler.ts";
import { manage } from "./managed-forward.ts";
import type { ManagedInput } from "./managed-forward.ts";
import { MeshCall } from "./mesh-call.ts";

const NO_FIRST = {};
const OUTSIDE_CONNECT_TIMEOUT_MS = 5_000;
const HTTP_PORT = 80;
const PORT_MAX = 65_535;

export class SidecarOutbound implements ExchangeHandler {
  readonly role = "outbound";
  readonly #runtime: Runtime;
  readonly #workload: Workload;
  readonly #pod: PodState;
  /** Null: hops are not kept. */
  #note: HopNote | null = null;
  /** Null: the call follows no route. */
  #meshCall: MeshCall | null = null;
  /** Set-Cookie that brings the app back to its endpoint; null: none is due. */
  #cookie: string | null = null;

  constructor(runtime: Runtime, workload: Workload, pod: PodState) {
    this.#runtime = runtime;
    this.#workload = workload;
    this.#pod = pod;
  }

  onRequest(exchange: Exchange): void {
    const { head } = exchange;
    if (head.method === "CONNECT") {
      const message = "this sidecar proxies plain HTTP; TLS connections go out directly";
      exchange.fail(proxyError("method_not_supported", message));
      return;
    }
    const host = this.#runtime.hosts.resolve(head.authority, this.#workload.namespace);
    this.#noteHop(exchange, host !== null);
    exchange.requestId = head.headers.get(REQUEST_ID_HEADER) ?? "";
    if (host === null) this.#leaveMesh(exchange);
    else this.#call(exchange, host);
  }

  /** The called service's answer goes back as it is, but for what a route says. */
  onResponse(_exchange: Exchange, { headers }: ResponseDraft): null {
    if (this.#cookie !== null) headers.add("set-cookie", this.#cookie);
    this.#meshCall?.onResponse(headers);
    return null;
  }

  onEnd(): void {
    this.#meshCall?.onEnd();
  }

  onRecord({ context }: Exchange, record: ExchangeRecord): void {
    if (this.#note !== null) context.hops?.add(record, this.#note);
  }

  /** A call without an id gets that of the pod's one request: the next hop is known by it. */
  #noteHop(exchange: Exchange, isInMesh: boolean): void {
    const { context, startedMs } = exchange;
    const { headers } = exchange.head;
    if (context.hops === undefined) return;
    const pod = `${this.#workload.namespace}/${this.#workload.name}`;
    const own = idsOf(headers);
    const only = own.requestId === "" && own.traceId === "" ? this.#pod.onlyIds : null;
    this.#note = { pod, ids: only ?? own, startedMs, isInferred: only !== null };
    if (only === null || only.requestId === "" || !isInMesh) return;
    headers.set(REQUEST_ID_HEADER, only.requestId);
  }

  #call(exchange: Exchange, host: MeshHost): void {
    const { lanes, mesh } = this.#runtime;
    const routes = mesh === null ? null : mesh.find(host.cluster.name, this.#workload);
    if (routes !== null) {
      this.#follow(exchange, host, routes);
      return;
    }
    const decision = this.#decideFor(exchange, host.cluster);
    const choice = chooseEndpoints(lanes, {
      target: host.target,
      fallback: null,
      group: decision?.group ?? null,
      lane: decision?.lane ?? null,
    });
    noteChoice(exchange, choice);
    if (choice.missing !== null) {
      const code = decision === null ? "no_endpoint" : "lane_has_no_endpoint";
      exchange.fail(proxyError(code, choice.missing));
      return;
    }
    this.#forward(exchange, host.cluster, { subset: null, choice, route: null });
  }

  /** Before its route is looked for a call has the lane's headers, by which routes may ask. */
  #follow(exchange: Exchange, { cluster }: MeshHost, routes: PreparedRouteTable): void {
    if (cluster.isOutside !== true) this.#decideFor(exchange, cluster);
    const { clusters } = this.#runtime.lanes;
    this.#meshCall = new MeshCall(exchange, this.#runtime, {
      decide: ({ cluster: name, subset }) => {
        const to = clusters.get(name)?.cluster;
        if (to === undefined) return null;
        return this.#enter(exchange, subset) ?? this.#decideFor(exchange, to);
      },
      forward: ({ route, target, choice }) => {
        const to = clusters.get(target.cluster)?.cluster;
        if (to === undefined) return;
        noteChoice(exchange, choice);
        this.#forward(exchange, to, { subset: target.subset, choice, route });
      },
    });
    this.#meshCall.run(routes);
  }

  /** A route names a lane: the call is in it from here on. Null: it names none. */
  #enter(exchange: Exchange, subset: Subset | null): LaneDecision | null {
    if (subset?.kind !== "lane") return null;
    const { lanes, signed } = this.#runtime;
    const group = lanes.groups.get(subset.group);
    if (group === undefined) return null;
    const decision = decisionByRoute(group, subset.lane);
    exchange.decision = decision;
    const { tag } = decision;
    if (tag === null || group.group.isolated === true) return decision;
    const { head, context } = exchange;
    const signing = signed.get(group.name);
    const droppedCount =
      signing === undefined
        ? writeContext(head.headers, group, tag)
        : writeSigned(head.headers, signing, tag, context.clock.nowMs());
    reportDropped(exchange, droppedCount);
    return decision;
  }

  #decideFor(exchange: Exchange, cluster: Cluster): LaneDecision | null {
    const { clusters } = this.#runtime.lanes;
    if (cluster.isOutside === true) {
      this.#leaveContext(exchange, cluster.host);
      exchange.decision = null;
    } else exchange.decision = this.#decide(exchange, clusters.get(cluster.name));
    return exchange.decision;
  }

  #forward(
    exchange: Exchange,
    cluster: Cluster,
    { subset, choice: { endpoints }, route }: SidecarHop,
  ): void {
    const { head, connection, context } = exchange;
    const managed = this.#manage(exchange, {
      cluster,
      subset,
      retry: route?.policy?.retry ?? null,
    });
    const { prng } = context;
    exchange.forward({
      service: cluster.service,
      endpoints,
      connectTimeoutMs: managed.cluster?.limits.connectTimeoutMs ?? cluster.connectTimeoutMs,
      timeoutMs: route?.timeoutMs ?? 0,
      pools: context.pools.poolsFor(cluster, subset, { client: connection }),
      isHttp2: speaksHttp2(cluster, head),
      ...(managed.cluster === null ? firstByWeight(endpoints, prng) : NO_FIRST),
      ...managed,
    });
  }

  #manage(
    exchange: Exchange,
    wanted: Pick<ManagedInput, "cluster" | "subset" | "retry"> & { readonly cluster: Cluster },
  ): Management {
    const { policy, subsetPolicies } = wanted.cluster;
    const isManaged = policy !== undefined || subsetPolicies !== undefined;
    if (!isManaged && wanted.retry === null) return UNMANAGED;
    const sender = this.#workload;
    const { cookie, ...managed } = manage({
      ...{ exchange, ...wanted, sender },
      clientAddress: sender.address,
    });
    this.#cookie = cookie;
    return managed;
  }

  /**
   * Every group's context is carried on, also towards a service that is no member: a later hop may
   * be one. The hop itself follows the first group, by name, that knows a lane for it.
   */
  #decide(exchange: Exchange, cluster: PreparedCluster | undefined): LaneDecision | null {
    const header = contextLookup(exchange.head.headers);
    let decision: LaneDecision | null = null;
    for (const group of this.#runtime.lanes.groups.values()) {
      const tag = this.#carry(exchange, group, header);
      if (cluster?.groups.includes(group) !== true) continue;
      decision = withGroup(decision, group, tag);
    }
    return decision;
  }

  /** Writes the lane's tag that the call carries into its headers. Undefined: it carries none. */
  #carry(exchange: Exchange, group: PreparedLaneGroup, header: HeaderLookup): string | undefined {
    const { head, context } = exchange;
    const signed = this.#runtime.signed.get(group.name);
    if (signed !== undefined) return this.#carrySigned(exchange, signed, header);
    const nowMs = context.clock.monotonicMs();
    const tag =
      group.group.isolated === true
        ? this.#callerTag(group, head.headers)
        : outboundTag(group, header, this.#pod.traceTable(group.name), nowMs);
    if (tag !== undefined) reportDropped(exchange, writeContext(head.headers, group, tag));
    return tag;
  }

  /**
   * The same in a group that signs. What the app carries is checked and goes on as it is, so that
   * it ends when the gateway's signature does; what the sidecar knows by itself it signs.
   */
  #carrySigned(exchange: Exchange, signed: SignedGroup, header: HeaderLookup): string | undefined {
    const { group } = signed;
    const { head, context } = exchange;
    const { clock, observer } = context;
    const nowMs = clock.nowMs();
    const isIsolated = group.group.isolated === true;
    const carried = isIsolated ? undefined : contextTag(group, header);
    if (carried !== undefined) {
      const onRefused: OnRefused = (name, refusal) => {
        observer.onContextRefused(this.role, name, refusal);
      };
      const tag = believedTag(head.headers, signed, carried, { nowMs, onRefused });
      if (tag !== undefined) reportDropped(exchange, writeContext(head.headers, group, carried));
      return tag;
    }
    const traces = this.#pod.traceTable(group.name);
    const tag = isIsolated
      ? this.#callerTag(group, head.headers)
      : rememberedTag(group, header, traces, clock.monotonicMs());
    if (tag !== undefined) reportDropped(exchange, writeSigned(head.headers, signed, tag, nowMs));
    return tag;
  }

  /** In an isolated group the calling pod decides, and nothing that its request carries. */
  #callerTag(group: PreparedLaneGroup, headers: Headers): string | undefined {
    const { tag } = decisionByCaller(group, this.#workload.labels);
    if (tag === null) removeContext(headers, [group]);
    return tag ?? undefined;
  }

  /** Lane context stays inside the mesh: it is no business of other people's hosts. */
  #leaveContext(exchange: Exchange, host: string): void {
    const { headers } = exchange.head;
    const header = contextLookup(headers);
    const staying: PreparedLaneGroup[] = [];
    for (const group of this.#runtime.lanes.groups.values()) {
      if (isSentOutside(group, host)) this.#carry(exchange, group, header);
      else staying.push(group);
    }
    removeContext(headers, staying);
  }

  #leaveMesh(exchange: Exchange): void {
    const { host, port } = splitAuthority(exchange.head.authority);
    this.#leaveContext(exchange, host);
    const unfit = unfitness(exchange, host, port);
    if (unfit !== null) {
      exchange.fail(unfit);
      return;
    }
    exchange.servedLane = BASELINE_NAME;
    exchange.forward({
      service: exchange.head.authority,
      endpoints: [{ address: host, port, pod: "", labels: {} }],
      connectTimeoutMs: OUTSIDE_CONNECT_TIMEOUT_MS,
      timeoutMs: 0,
      pools: null,
      isHttp2: exchange.head.isHttp2 === true,
      from: this.#ownAddress(host),
      ...UNMANAGED,
    });
  }

  /** A gateway on this machine is called from the pod's own address, where rules read who calls. */
  #ownAddress(host: string): string {
    const { address } = this.#workload;
    if (!this.#runtime.readsCallers || !address.startsWith("127.")) return "";
    return host.startsWith("127.") || host === "localhost" ? address : "";
  }
}

interface SidecarHop {
  readonly subset: Subset | null;
  readonly choice: EndpointChoice;
  readonly route: Route | null;
}

function noteChoice(exchange: Exchange, { servedLane, reason }: EndpointChoice): void {
  exchange.servedLane = servedLane;
  exchange.fallback = reason.startsWith("fallback") ? reason : "";
}

/** Without a policy endpoints are drawn at random: by weight, where they have some. */
function firstByWeight(endpoints: readonly Endpoint[], prng: Prng): Pick<ForwardPlan, "first"> {
  const sums = weightSums(endpoints);
  return sums === null ? NO_FIRST : { first: indexAt(sums, drawPoint(prng)) };
}

function reportDropped({ context }: Exchange, droppedCount: number): void {
  if (droppedCount > 0) context.observer.onBaggageDropped(droppedCount);
}

/** Why a call to the outside is not made. */
function unfitness({ head, connection }: Exchange, host: string, port: number): ProxyError | null {
  if (head.scheme === "https") {
    const message = "this sidecar proxies plain HTTP; TLS connections go out directly";
    return proxyError("method_not_supported", message);
  }
  if (host === "" || port < 1 || port > PORT_MAX) {
    return proxyError(
      "no_route",
      `the request names no host that can be called: ${head.authority}`,
    );
  }
  if (port === connection.localPort && (isLoopback(host) || host === "localhost")) {
    const message = `the call goes to the sidecar's own outbound port ${port}: name the service`;
    return proxyError("no_route", message);
  }
  return null;
}

function splitAuthority(authority: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(authority);
  const port = match?.[3];
  return {
    host: match?.[1] ?? match?.[2] ?? authority,
    port: port === undefined ? HTTP_PORT : Number(port),
  };
}
