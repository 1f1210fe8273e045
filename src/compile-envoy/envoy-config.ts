//! What one Envoy is to run, as Envoy's own resources in their JSON form.

import type { JsonObject } from "../base/json.ts";
import type { Fault } from "../resources/fault.ts";
import type { ObjectRef } from "../snapshot/snapshot.ts";

/** The types of resources, in the order in which an Envoy must learn of them. */
export const RESOURCE_TYPES = [
  "clusters",
  "endpoints",
  "secrets",
  "extensions",
  "listeners",
  "routes",
] as const;

export type ResourceType = (typeof RESOURCE_TYPES)[number];

export const TYPE_URLS: Readonly<Record<ResourceType, string>> = {
  clusters: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  secrets: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  extensions: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  listeners: "type.googleapis.com/envoy.config.listener.v3.Listener",
  routes: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};

/** The objects that a part of a resource was made from: who is to blame when Envoy refuses it. */
export interface ResourcePart {
  readonly source: ObjectRef;
  readonly json: JsonObject;
}

export interface EnvoyResource {
  readonly name: string;
  readonly json: JsonObject;
  readonly parts: readonly ResourcePart[];
  /** What it asks for by name: a cluster its endpoints, a listener routes and plug-ins, … */
  readonly needs: readonly string[];
  /** What Envoy is sent in its place when it refuses this and has no earlier one. */
  readonly standIn?: EnvoyResource;
  /** Modules that the Envoy has to have fetched before it can take this. */
  readonly fetches?: readonly ModuleFile[];
  /** A plug-in among the filters of upstream requests. */
  readonly isUpstream?: true;
  /** What it is another attempt at: to whoever compares versions, it is that. */
  readonly retryOf?: EnvoyResource;
}

export type EnvoyResources = Readonly<Record<string, EnvoyResource>>;

export interface EnvoyConfig extends Readonly<Record<ResourceType, EnvoyResources>> {
  /** What Envoy cannot do, by object. */
  readonly refusals: readonly Fault[];
}

/** What an Envoy is for. */
export type EnvoyView = GatewayView | SidecarView;

/** A Wasm module on this machine. */
export interface ModuleFile {
  readonly path: string;
  readonly sha256: string;
}

interface CommonView {
  /** The cluster by which it fetches modules; absent: they are files of its machine. */
  readonly modules?: string;
}

/** It listens at the addresses of the pod. */
export interface SidecarView extends CommonView {
  readonly role: "sidecar";
  /** Key in `Snapshot.workloads`. */
  readonly pod: string;
  /** The plug-in that keeps lanes by trace ids; absent: there is none. */
  readonly laneMemory?: ModuleFile;
  /** The plug-in that reads and writes lanes in baggage; absent: there is none. */
  readonly laneContext?: ModuleFile;
}

export interface GatewayView extends CommonView {
  readonly role: "gateway";
  /** It is every gateway whose selector is among these labels. */
  readonly labels: Readonly<Record<string, string>>;
  readonly bindAddress: string;
  /** From a Gateway's port to the port that is opened instead. */
  readonly portMap: Readonly<Record<string, number>>;
  /** The plug-in that tells buckets of shares; absent: there is none. */
  readonly laneBucket?: ModuleFile;
  /** The plug-in that runs rules which routes cannot express; absent: there is none. */
  readonly laneFilter?: ModuleFile;
  /** The plug-in that reads and writes lanes in baggage; absent: there is none. */
  readonly laneContext?: ModuleFile;
  /** It has shown that it may be told private keys. */
  readonly hasKeys?: true;
  /** The file with the authorities that its machine trusts; absent: there is none. */
  readonly systemAuthorities?: string;
}

/** One value for each type. */
export function byType<Value>(of: (type: ResourceType) => Value): Record<ResourceType, Value> {
  const entries = RESOURCE_TYPES.map((type) => [type, of(type)] as const);
  return Object.fromEntries(entries) as Record<ResourceType, Value>;
}

export const NO_RESOURCES: Readonly<Record<ResourceType, EnvoyResources>> = byType(() => ({}));

/** Envoy's JSON of a source of configuration: the stream that the resource came by. */
export const FROM_ADS: JsonObject = { ads: {}, resource_api_version: "V3" };

/** Envoy's JSON of a duration. */
export function durationOf(milliseconds: number): string {
  return `${milliseconds / 1_000}s`;
}
