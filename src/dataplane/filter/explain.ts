//! Explains where a request would go: the gateway's own filters and lane code, without an upstream.

import type { Clock } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { DecisionReason, LaneDecision } from "../../lane/decide.ts";
import { isCarriedOn } from "../../lane/context.ts";
import { chooseEndpoints } from "../../lane/fallback.ts";
import type { EndpointChoice } from "../../lane/fallback.ts";
import type { Refusal } from "../../lane/signed-tag.ts";
import { meshTableName } from "../../lane/mesh-routes.ts";
import type { Cluster, Route, Target } from "../../snapshot/snapshot.ts";
import { NO_CLIENT_NAMES } from "../listener/client-names.ts";
import { statusOf } from "../proxy-error.ts";
import { DEFAULT_EDGE, addEdgeFields } from "../exchange/edge-fields.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { ListenerRuntime, Runtime } from "../runtime/runtime.ts";
import { readsBodyEarly } from "./collected-operands.ts";
import { GatewayPass } from "./gateway-pass.ts";
import { GivenBody } from "./given-body.ts";
import type { PassOwner } from "./gateway-pass.ts";
import { contextLookup, ensureTraceparent } from "./lane-context.ts";
import { explainedCohort } from "./explain-cohort.ts";
import { explainedConditions, explainedRule } from "./explain-rule.ts";
import type { WhyMissing } from "./explain-rule.ts";
import type { LaneOutcome } from "./lane-filter.ts";
import type { PluginStream } from "./plugin-stream.ts";

export interface ExplainQuestion {
  /** As the parser would give it: headers lower-case, authority and target apart. */
  readonly method: string;
  readonly authority: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** One character for each byte; absent: the request has no body. */
  readonly body?: string;
  /** Port of the Gateway resource that the request would come in at. */
  readonly port: number;
  /** Of the client's connection; absent: this machine. */
  readonly remoteAddress?: string;
}

export interface ExplainedCondition {
  readonly group: string;
  readonly lane: string;
  readonly what: "forcedOut" | "forcedIn" | "rule";
  readonly enabled: boolean;
  readonly isMet: boolean;
  readonly text: string;
}

export interface ExplainedPlugin {
  readonly name: string;
  readonly action: string;
  readonly reasons: readonly unknown[];
  readonly suppressed: readonly string[];
}

export interface ExplainedHop {
  readonly service: string;
  readonly wantedLane: string | null;
  readonly servedLane: string | null;
  readonly reason: string;
  readonly pods: readonly { readonly name: string; readonly address: string }[];
  /** Objects whose routes calls between pods follow: by what the call asks, they lead elsewhere. */
  readonly meshRoutes: readonly string[];
}

export interface ExplainAnswer {
  readonly snapshotVersion: string;
  readonly gateway: string;
  readonly listenerPort: number;
  readonly plugins: readonly ExplainedPlugin[];
  readonly route: {
    readonly id: string;
    readonly label: string;
    readonly source: string;
    readonly destination: string | null;
  } | null;
  readonly noMatch: readonly string[];
  readonly localReply: { readonly status: number; readonly body: string } | null;
  readonly decision: {
    readonly reason: DecisionReason;
    readonly group: string;
    readonly lane: string | null;
    readonly detail: string;
  } | null;
  readonly conditions: readonly ExplainedCondition[];
  readonly hops: readonly ExplainedHop[];
}

interface Collected {
  outcome: LaneOutcome | null;
  /** By lane group: why the request's context is not believed. */
  readonly refusals: Map<string, Refusal>;
  reply: { status: number; body: string } | null;
}

/** Runs the request through the gateway of `listener`. A plug-in that pauses is named so. */
export async function explain(
  runtime: Runtime,
  listener: ListenerRuntime,
  request: RequestHead,
  deps: {
    readonly prng: Prng;
    readonly clock: Clock;
    readonly remoteAddress: string;
    readonly body: Buffer;
  },
): Promise<ExplainAnswer> {
  const collected: Collected = { outcome: null, refusals: new Map(), reply: null };
  const { edge = DEFAULT_EDGE } = listener.gateway;
  const { remoteAddress: peerAddress } = deps;
  const peer = { remoteAddress: peerAddress, isSecure: false };
  const { clientAddress } = addEdgeFields(request, edge, peer, listener.listener.port);
  if (listener.needsTraceparent) ensureTraceparent(request.headers);
  const { prng, clock } = deps;
  const given = new GivenBody(deps.body);
  const owner = collector(collected, { clock, given, remoteAddress: clientAddress, peerAddress });
  const pass = new GatewayPass(runtime, listener, request, { prng, owner });
  given.pass = pass;
  if (readsBodyEarly(listener)) pass.requestChain = given.chain();
  pass.run();
  given.send();
  await pass.collected?.verified;
  return answerOf(pass, collected);
}

function answerOf(pass: GatewayPass, collected: Collected): ExplainAnswer {
  const { runtime, listener } = pass;
  const plugins = pass.streams.map((stream) => explainPlugin(stream, collected));
  const { outcome } = collected;
  const noMatch = outcome?.route === null ? pass.explainNoMatch() : [];
  if (outcome?.route === null) collected.reply = replyOf(pass.noRoute(noMatch));
  pass.finish();
  return {
    snapshotVersion: runtime.snapshot.version,
    gateway: listener.gateway.name,
    listenerPort: listener.listener.port,
    plugins,
    route: outcome === null ? null : routeOf(outcome),
    noMatch,
    localReply: collected.reply ?? directReply(outcome),
    decision: decisionOf(runtime, pass, collected),
    conditions: conditionsOf(pass),
    hops: outcome === null || collected.reply !== null ? [] : hopsOf(runtime, pass, outcome),
  };
}

function collector(
  collected: Collected,
  of: {
    readonly clock: Clock;
    readonly given: GivenBody;
    readonly remoteAddress: string;
    readonly peerAddress: string;
  },
): PassOwner {
  const { clock, given, remoteAddress, peerAddress } = of;
  return {
    explaining: true,
    remoteAddress,
    // A question has no connection, so no certificate either.
    peer: { peerAddress, clientNames: NO_CLIENT_NAMES },
    onDecided(outcome) {
      collected.outcome = outcome;
    },
    onPluginResponse(response) {
      collected.reply = {
        status: response.status,
        body: Buffer.from(response.body).toString("utf8"),
      };
    },
    onPassFailed(error) {
      collected.reply = replyOf(error);
    },
    onBaggageDropped: () => undefined,
    nowMs: () => clock.nowMs(),
    isSecure: false,
    facts: null,
    upstreamAddress: "",
    onContextRefused(group, refusal) {
      collected.refusals.set(group, refusal);
    },
    onResponseReleased: () => undefined,
    unsentBytes: 0,
    later: () => {
      throw new Error("explain has no response");
    },
    makeRequestChain: () => given.chain(),
    makeResponseChain: () => {
      throw new Error("explain has no response");
    },
    onReset() {
      collected.reply = { status: 0, body: "the plug-in cuts the connection" };
    },
  };
}

function replyOf(error: ProxyError): { status: number; body: string } {
  return { status: statusOf(error), body: `${error.code}: ${error.message}` };
}

function explainPlugin(stream: PluginStream, collected: Collected): ExplainedPlugin {
  const answered = collected.reply !== null || collected.outcome !== null;
  return {
    name: stream.slot.plugin.name,
    action: answered ? "continue" : "paused",
    reasons: stream.reasons.map(parseReason),
    suppressed: [],
  };
}

function parseReason(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes).toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function routeOf(outcome: LaneOutcome): ExplainAnswer["route"] {
  const { route, destination } = outcome;
  if (route === null) return null;
  return {
    id: route.id,
    label: route.label,
    source: describeRoute(route),
    destination: destination === null ? null : describeTarget(destination.target),
  };
}

/** `VirtualService istio-system/shop http[0] "r2"`. */
function describeRoute({ id, label, source }: Route): string {
  const rule = id.slice(id.lastIndexOf("/") + 1);
  const name = label === "" ? "" : ` "${label}"`;
  return `${source.kind} ${source.namespace}/${source.name} ${rule}${name}`;
}

function describeTarget(target: Target): string {
  if (target.kind === "missing") return `nowhere: ${target.message}`;
  const { cluster, subset } = target;
  if (subset === null) return cluster;
  return subset.kind === "lane" ? `${cluster} lane ${subset.lane}` : `${cluster} ${subset.name}`;
}

function directReply(outcome: LaneOutcome | null): ExplainAnswer["localReply"] {
  const action = outcome?.route?.action;
  if (action?.kind === "direct") return { status: action.status, body: action.body };
  const missing = outcome?.choice?.missing ?? null;
  return missing === null ? null : { status: 503, body: missing };
}

function decisionOf(
  runtime: Runtime,
  pass: GatewayPass,
  { outcome, refusals }: Collected,
): ExplainAnswer["decision"] {
  const { decision = null, route = null } = outcome ?? {};
  if (decision === null) return null;
  const { reason, group, lane } = decision;
  const why =
    reason === "route" && route !== null
      ? `route ${describeRoute(route)} names the lane's subset`
      : detailOf(runtime, pass, group);
  const detail = `${why}${lane === null ? "" : epochOf(runtime, group)}`;
  const refusal = refusals.get(group);
  if (refusal === undefined) return { reason, group, lane, detail };
  const refused = `the request's lane context is not believed (${refusal})`;
  return { reason, group, lane, detail: `${refused}; ${detail}` };
}

/** In which epoch the lane travels on: a higher one makes what was signed before worthless. */
function epochOf(runtime: Runtime, group: string): string {
  const signed = runtime.signed.get(group);
  return signed === undefined ? "" : `; signed in the epoch ${signed.signer.signature.epoch}`;
}

function detailOf(runtime: Runtime, pass: GatewayPass, groupName: string): string {
  const group = runtime.lanes.groups.get(groupName);
  if (group === undefined) return "";
  const explained = pass.explanations?.get(group.name);
  if (explained === undefined) return "";
  const { context, rules, cohort, isEntry } = explained;
  if (context.meaning === "absent" && (rules.length > 0 || cohort !== null)) {
    if (!isEntry) return "the route is no entry of the lane group";
    const share = cohort === null ? [] : [explainedCohort(cohort)];
    const why = whyMissingIn(pass, groupName);
    return [...rules.flatMap((each) => explainedRule(each, why)), ...share].join("; ");
  }
  return `header ${context.header} is ${context.value ?? "absent"} (${context.meaning})`;
}

/** Of groups whose conditions were asked: nothing came before them. */
function conditionsOf(pass: GatewayPass): ExplainedCondition[] {
  return [...(pass.explanations ?? [])].flatMap(([group, { context, rules, isEntry }]) =>
    context.meaning === "absent" && isEntry
      ? rules.flatMap((each) => explainedConditions(group, each, whyMissingIn(pass, group)))
      : [],
  );
}

function whyMissingIn(pass: GatewayPass, group: string): WhyMissing {
  return (operand) => pass.collected?.whyMissing(group, operand) ?? "";
}

/** For each member service of the group: who would serve it, whatever calls it. */
function hopsOf(runtime: Runtime, pass: GatewayPass, outcome: LaneOutcome): ExplainedHop[] {
  const { decision, destination, choice } = outcome;
  const first = destination?.target.kind === "cluster" ? destination.target.cluster : null;
  const group = decision === null ? undefined : runtime.lanes.groups.get(decision.group);
  const header = contextLookup(pass.request.headers);
  const isCarried = group !== undefined && isCarriedOn(group, header);
  const later = group === undefined || isCarried ? decision : group.baseline;
  const hops: ExplainedHop[] = [];
  for (const { cluster, groups } of runtime.lanes.clusters.values()) {
    if (cluster.name === first && choice !== null) {
      // The gateway's own hop, which follows the gateway's routes.
      hops.unshift({ ...hopOf(cluster, decision, choice), meshRoutes: [] });
    } else if (group !== undefined && groups.includes(group)) {
      const meshRoutes = meshSourcesOf(runtime, cluster);
      hops.push({ ...hopOf(cluster, later, laterHop(runtime, cluster, later)), meshRoutes });
    }
  }
  return hops;
}

function meshSourcesOf({ snapshot }: Runtime, { name }: Cluster): string[] {
  const hosts = snapshot.routeTables[meshTableName(name)]?.virtualHosts ?? [];
  const sources = hosts.flatMap(({ routes }) => routes.map(({ source }) => source));
  return [...new Set(sources.map((one) => `${one.kind} ${one.namespace}/${one.name}`))];
}

/** What a sidecar would choose for this service, with the same code, for a call without a route. */
function laterHop(
  runtime: Runtime,
  cluster: Cluster,
  decision: LaneDecision | null,
): EndpointChoice {
  return chooseEndpoints(runtime.lanes, {
    target: { kind: "cluster", cluster: cluster.name, subset: null },
    fallback: null,
    group: decision?.group ?? null,
    lane: decision?.lane ?? null,
  });
}

function hopOf(
  cluster: Cluster,
  decision: LaneDecision | null,
  choice: EndpointChoice,
): Omit<ExplainedHop, "meshRoutes"> {
  return {
    service: cluster.service,
    wantedLane: decision?.lane ?? null,
    servedLane: choice.missing === null ? choice.servedLane : null,
    reason: choice.missing ?? choice.reason,
    pods: choice.endpoints.map(({ pod, address, port }) => ({
      name: pod,
      address: `${address}:${port}`,
    })),
  };
}
