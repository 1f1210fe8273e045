//! A call that a pod makes: restore its lane, pick the lane's endpoint of the called service.

import type { Prng } from "../../base/prng.ts";
import type { LaneDecision, PreparedLaneGroup } from "../../lane/decide.ts";
import { contextTag, isSentOutside, outboundTag, rememberedTag } from "../../lane/context.ts";
import { drawPoint, indexAt, weightSums } from "../../lane/endpoint-weights.ts";
import { BASELINE_NAME, chooseEndpoints } from "../../lane/fallback.ts";
import type { PreparedCluster } from "../../lane/fallback.ts";
import { decisionByCaller, withGroup } from "../../lane/group.ts";
import type { HeaderLookup } from "../../lane/program.ts";
import type { Headers } from "../../http/headers.ts";
import type { Endpoint, Workload } from "../../snapshot/snapshot.ts";
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
import type { ExchangeHandler, ForwardPlan } from "./handler.ts";

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

  onResponse(): null {
    // The called service's answer goes back as it is.
    return null;
  }

  onEnd(): void {
    // Nothing is held.
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
    const { lanes } = this.#runtime;
    if (host.cluster.isOutside === true) this.#leaveContext(exchange, host.cluster.host);
    const decision =
      host.cluster.isOutside === true
        ? null
        : this.#decide(exchange, lanes.clusters.get(host.cluster.name));
    exchange.decision = decision;
    const choice = chooseEndpoints(lanes, {
      target: host.target,
      fallback: null,
      group: decision?.group ?? null,
      lane: decision?.lane ?? null,
    });
    exchange.servedLane = choice.servedLane;
    exchange.fallback = choice.reason.startsWith("fallback") ? choice.reason : "";
    if (choice.missing !== null) {
      const code = decision === null ? "no_endpoint" : "lane_has_no_endpoint";
      exchange.fail(proxyError(code, choice.missing));
      return;
    }
    exchange.forward({
      service: host.cluster.service,
      endpoints: choice.endpoints,
      connectTimeoutMs: host.cluster.connectTimeoutMs,
      timeoutMs: 0,
      pools: exchange.context.pools.poolsFor(host.cluster, null, exchange.connection),
      isHttp2: speaksHttp2(host.cluster, exchange.head),
      ...firstByWeight(choice.endpoints, exchange.context.prng),
      ...UNMANAGED,
    });
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

/** Sidecars draw at random: by weight, where endpoints have some. */
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
