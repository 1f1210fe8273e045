//! TrafficLabel and ASMHeaderPropagation to the context of the lane groups whose tag they carry.
//!
//! Both write headers of any name; here a sidecar carries the tags of lane groups. So a group that
//! says nothing else takes its mode from them, and whatever else they ask for is named.

import type { AsmHeaderPropagation } from "../resources/kinds/asm-header-propagation.ts";
import type { TrafficLabel } from "../resources/kinds/traffic-label.ts";
import type { Resource } from "../resources/object.ts";
import type { LaneContext } from "../snapshot/snapshot.ts";
import type { GroupModel } from "./lane-model.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";

export interface ContextObjects {
  readonly trafficLabels: readonly TrafficLabel[];
  readonly headerPropagations: readonly AsmHeaderPropagation[];
}

export function withAsmContexts(
  models: readonly GroupModel[],
  { trafficLabels, headerPropagations }: ContextObjects,
  messages: MessageList,
): GroupModel[] {
  const contexts = new Contexts(models, messages);
  for (const resource of trafficLabels) translateLabel(resource, contexts);
  for (const resource of headerPropagations) translatePropagation(resource, contexts);
  return contexts.models();
}

/** A part of one of the objects. */
interface Part {
  readonly resource: TrafficLabel | AsmHeaderPropagation;
  readonly path: string;
}

class Contexts {
  readonly #models: readonly GroupModel[];
  readonly #messages: MessageList;
  readonly #changed = new Map<string, LaneContext>();

  constructor(models: readonly GroupModel[], messages: MessageList) {
    this.#models = models;
    this.#messages = messages;
  }

  models(): GroupModel[] {
    return this.#models.map((model) => ({ ...model, context: this.contextOf(model) }));
  }

  contextOf(model: GroupModel): LaneContext {
    return this.#changed.get(model.name) ?? model.context;
  }

  /** The groups with a service in the object's namespace whose route header is so named. */
  select(resource: Resource, isMeant: (routeHeader: string) => boolean): GroupModel[] {
    const own = `${namespaceOf(resource)}/`;
    return this.#models.filter(
      ({ context, services }) =>
        isMeant(context.routeHeader) && services.some(({ key }) => key.startsWith(own)),
    );
  }

  refuse({ resource, path }: Part, message: string, remedy: string): void {
    this.#messages.add(resource, { severity: "warning", code: "GL0362", path, message, remedy });
  }

  /** Gives the group the context, unless it says one of its own or has others' services. */
  set(model: GroupModel, context: LaneContext, part: Part): void {
    const has = this.contextOf(model);
    if (model.isolated || isSame(has, context)) return;
    const name = `the ${model.resource.kind} ${keyOf(model.resource)}`;
    const wanted = describe(context);
    if (model.resource.kind === "LaneGroup" || has.mode !== "header") {
      this.refuse(
        part,
        `${name} carries its tag by ${describe(has)}, and that counts, not ${wanted}`,
        "Say the same in both, or remove this.",
      );
      return;
    }
    const own = `${namespaceOf(part.resource)}/`;
    const stranger = model.services.find(({ key }) => !key.startsWith(own));
    const isSelective = part.resource.spec.workloadSelector?.labels !== undefined;
    if (stranger !== undefined || isSelective) {
      const why = isSelective
        ? "a workloadSelector asks for it at some workloads only"
        : `its service ${stranger?.key} is of another namespace`;
      this.refuse(
        part,
        `${name} does not get ${wanted}: a lane group has one mode at all of its services, ` +
          `and ${why}`,
        "Write traceHeader in the ASMSwimLaneGroup.",
      );
      return;
    }
    this.#changed.set(model.name, context);
  }
}

function isSame(one: LaneContext, other: LaneContext): boolean {
  if (one.mode === "traceId" && other.mode === "traceId") {
    return one.traceHeader === other.traceHeader;
  }
  return one.mode === other.mode;
}

function describe(context: LaneContext): string {
  if (context.mode === "header") return `the header ${context.routeHeader} alone`;
  return context.mode === "baggage" ? "the baggage" : `the trace id in ${context.traceHeader}`;
}

const NO_GROUP = "Sidecars carry the route headers of lane groups; name one, or remove this.";

function translatePropagation(resource: AsmHeaderPropagation, contexts: Contexts): void {
  const { headers = [], headerPrefix = [] } = resource.spec;
  headers.forEach((header, index) => {
    const part = { resource, path: `spec.headers[${index}]` };
    const name = header.toLowerCase();
    const groups = contexts.select(resource, (routeHeader) => routeHeader === name);
    if (groups.length === 0) {
      const message = `${header} is the route header of no lane group here, so it is not carried`;
      contexts.refuse(part, message, NO_GROUP);
    }
    for (const model of groups) contexts.set(model, baggageOf(model), part);
  });
  headerPrefix.forEach((prefix, index) => {
    const part = { resource, path: `spec.headerPrefix[${index}]` };
    const start = prefix.toLowerCase();
    const groups = contexts.select(resource, (routeHeader) => routeHeader.startsWith(start));
    const names = groups.map(({ context }) => context.routeHeader).join(", ");
    contexts.refuse(
      part,
      `of the headers ${prefix}… ${names === "" ? "none" : `only ${names}`} is carried: others ` +
        "are no route header of a lane group here",
      NO_GROUP,
    );
    for (const model of groups) contexts.set(model, baggageOf(model), part);
  });
}

function baggageOf({ context: { routeHeader } }: GroupModel): LaneContext {
  return { mode: "baggage", routeHeader, baggageKey: routeHeader, stripFromClients: true };
}

function translateLabel(resource: TrafficLabel, contexts: Contexts): void {
  (resource.spec.rules ?? []).forEach(({ labels = [] }, ruleIndex) => {
    labels.forEach(({ name, valueFrom = [] }, index) => {
      const path = `spec.rules[${ruleIndex}].labels[${index}]`;
      const header = name.toLowerCase();
      const groups = contexts.select(resource, (routeHeader) => routeHeader === header);
      if (groups.length === 0) {
        const message = `${name} is the route header of no lane group here, so it is not written`;
        contexts.refuse({ resource, path: `${path}.name` }, message, NO_GROUP);
        return;
      }
      valueFrom.forEach((text, at) => {
        const part = { resource, path: `${path}.valueFrom[${at}]` };
        for (const model of groups) translateValue(model, text, part, contexts);
      });
    });
  });
}

function translateValue(model: GroupModel, text: string, part: Part, contexts: Contexts): void {
  const { routeHeader } = model.context;
  const { call, first, second } = callOf(text);
  const header = first.toLowerCase();
  switch (call) {
    case "getExternalInboundRequestHeader":
      if (second.toLowerCase() !== routeHeader || first === "") break;
      if (header === routeHeader) return;
      contexts.set(model, { mode: "traceId", routeHeader, traceHeader: header }, part);
      return;
    // What a request has, or the app writes by itself, is followed in every mode.
    case "getInboundRequestHeader":
    case "getLocalOutboundRequestHeader":
      if (header === routeHeader) return;
      break;
    case "getLabel":
      if (!isPodLabel(model, first)) break;
      if (!model.isolated) refusePodLabel(model, first, part, contexts);
      return;
  }
  contexts.refuse(
    part,
    `${text} has no effect on ${routeHeader}: a lane's tag comes from that header itself, from a ` +
      "trace id, or from the label of a lane's pods",
    "Set the header by a plug-in, or decide the lane by a rule.",
  );
}

/** `$call(first, second)`; empty texts when it is none. */
function callOf(text: string): { call: string; first: string; second: string } {
  const found = /^\$(\w+)\(([^(),]*)(?:,([^(),]*))?\)$/.exec(text.replaceAll(/\s/g, ""));
  const [, call = "", first = "", second = ""] = found ?? [];
  return { call, first, second };
}

function refusePodLabel(model: GroupModel, key: string, part: Part, contexts: Contexts): void {
  contexts.refuse(
    part,
    `the calling pod's label ${key} decides no lane in ${keyOf(model.resource)}, which is not ` +
      "strict",
    "Write isPermissive: false in the ASMSwimLaneGroup, or isolated: true in the LaneGroup.",
  );
}

function isPodLabel({ lanes }: GroupModel, key: string): boolean {
  return lanes.some(({ lane }) => Object.hasOwn(lane.selector, key));
}
