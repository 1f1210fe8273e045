//! A request that arrives at a pod: remember its lane under its trace id, hand it to the app.

import { contextTag, traceKeyOf } from "../../lane/context.ts";
import type { TraceTable } from "../../lane/context.ts";
import type { Endpoint, Workload } from "../../snapshot/snapshot.ts";
import { CARRY_HEADER, contextLookup } from "../filter/lane-context.ts";
import { believedTag } from "../filter/signed-context.ts";
import type { OnRefused } from "../filter/signed-context.ts";
import type { ExchangeRecord } from "../observer.ts";
import { idsOf } from "../recent-hops.ts";
import type { HopIds } from "../recent-hops.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { PodState } from "../runtime/pod-state.ts";
import type { Exchange } from "./exchange.ts";
import { UNMANAGED } from "./handler.ts";
import type { ExchangeHandler } from "./handler.ts";

const APP_CONNECT_TIMEOUT_MS = 1_000;

export class SidecarInbound implements ExchangeHandler {
  readonly role = "inbound";
  readonly #runtime: Runtime;
  readonly #workload: Workload;
  readonly #pod: PodState;
  readonly #app: Endpoint;
  /** Null: hops are not kept. */
  #ids: HopIds | null = null;
  readonly #recorded: { readonly table: TraceTable; readonly key: string }[] = [];

  constructor(runtime: Runtime, workload: Workload, pod: PodState, app: Endpoint) {
    this.#runtime = runtime;
    this.#workload = workload;
    this.#pod = pod;
    this.#app = app;
  }

  onRequest(exchange: Exchange): void {
    this.#pod.inFlightCount += 1;
    this.#noteHop(exchange);
    this.#record(exchange);
    this.#tellAgent(exchange);
    exchange.requestId = exchange.head.headers.get("x-request-id") ?? "";
    exchange.forward({
      service: `of pod ${this.#workload.namespace}/${this.#workload.name}`,
      endpoints: [this.#app],
      connectTimeoutMs: APP_CONNECT_TIMEOUT_MS,
      timeoutMs: 0,
      pools: null,
      // The caller knows from the Service what the app speaks.
      isHttp2: exchange.head.isHttp2 === true,
      ...UNMANAGED,
    });
  }

  onResponse(): null {
    // The app's answer goes back as it is.
    return null;
  }

  onEnd(exchange: Exchange): void {
    this.#pod.inFlightCount -= 1;
    if (this.#ids !== null) this.#pod.inFlightIds.delete(this.#ids);
    const nowMs = exchange.context.clock.monotonicMs();
    for (const { table, key } of this.#recorded) table.end(key, nowMs);
  }

  onRecord({ context, startedMs }: Exchange, record: ExchangeRecord): void {
    if (this.#ids === null) return;
    const pod = `${this.#workload.namespace}/${this.#workload.name}`;
    context.hops?.add(record, { pod, ids: this.#ids, startedMs, isInferred: false });
  }

  #noteHop({ context, head }: Exchange): void {
    if (context.hops === undefined) return;
    this.#ids = idsOf(head.headers);
    this.#pod.inFlightIds.add(this.#ids);
  }

  #record(exchange: Exchange): void {
    const header = contextLookup(exchange.head.headers);
    for (const group of this.#runtime.lanes.groups.values()) {
      const carried = contextTag(group, header);
      const tag = carried === undefined ? null : this.#believed(exchange, group.name, carried);
      if (tag !== null && exchange.decision === null) {
        exchange.decision = group.byTag.get(tag)?.forced ?? null;
      }
      const key = traceKeyOf(group, header);
      if (key === undefined) continue;
      const kept = { key: ownText(key), tag: tag === null ? null : ownText(tag) };
      this.#remember(exchange, group.name, kept);
    }
  }

  /** The tag that the context carries; null when the group signs, and does not believe it. */
  #believed({ head, context }: Exchange, group: string, carried: string): string | null {
    const signed = this.#runtime.signed.get(group);
    if (signed === undefined) return carried;
    const nowMs = context.clock.nowMs();
    const onRefused: OnRefused = (name, refusal) => {
      context.observer.onContextRefused(this.role, name, refusal);
    };
    return believedTag(head.headers, signed, carried, { nowMs, onRefused }) ?? null;
  }

  /** Only what stands here is believed: a caller must not choose what an app sends on. */
  #tellAgent({ head: { headers } }: Exchange): void {
    const { carriedHeaders } = this.#runtime;
    if (carriedHeaders === "") headers.remove(CARRY_HEADER);
    else headers.set(CARRY_HEADER, carriedHeaders);
  }

  #remember(
    exchange: Exchange,
    group: string,
    { key, tag }: { readonly key: string; readonly tag: string | null },
  ): void {
    const { clock, observer } = exchange.context;
    const table = this.#pod.traceTable(group);
    const conflictsBefore = table.conflicts;
    if (table.begin(key, tag, clock.monotonicMs())) this.#recorded.push({ table, key });
    else observer.onTraceOverflow();
    if (table.conflicts > conflictsBefore) observer.onTraceConflict();
  }
}

/** A copy: a field's value may be a slice that keeps its whole message's text alive. */
function ownText(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
