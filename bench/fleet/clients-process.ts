//! The process of the simulated Envoys: does what its parent says, and tells what it has seen.

import { RESOURCE_TYPES } from "../../src/compile-envoy/envoy-config.ts";
import type { ResourceType } from "../../src/compile-envoy/envoy-config.ts";
import { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { METADATA_KEY } from "../../src/controlplane/xds/node-identity.ts";
import { ENVOY_API_FILE } from "../../src/main/package-root.ts";
import { DeltaClient } from "./delta-client.ts";

export interface FleetOrder {
  readonly kind: "start" | "reset" | "reconnect" | "stop" | "report";
  readonly count?: number;
  readonly address?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly routeNames?: readonly string[];
}

export interface FleetReport {
  /** How many clients hold so many resources of a type, by `<type> <count>`. */
  readonly held: Readonly<Record<string, number>>;
  /** Since the last reset: how many clients were told of a resource, by `<type> <name>`. */
  readonly told: Readonly<Record<string, number>>;
  readonly messages: number;
  readonly bytes: number;
  /** Wall time of the last answer. */
  readonly lastMs: number;
  readonly rssBytes: number;
}

/** Only so many names are counted: the first synchronisation tells of all. */
const NAMES_COUNTED = 50;

let clients: DeltaClient[] = [];
let told = new Map<string, number>();
let counts = { messages: 0, bytes: 0, lastMs: 0 };

function reset(): void {
  told = new Map();
  counts = { messages: 0, bytes: 0, lastMs: 0 };
}

function onMessage(type: ResourceType, names: readonly string[], bytes: number): void {
  counts.messages += 1;
  counts.bytes += bytes;
  counts.lastMs = performance.timeOrigin + performance.now();
  if (names.length > NAMES_COUNTED) return;
  for (const name of names) {
    const key = `${type} ${name}`;
    told.set(key, (told.get(key) ?? 0) + 1);
  }
}

function report(): FleetReport {
  const held: Record<string, number> = {};
  for (const client of clients) {
    for (const type of RESOURCE_TYPES) {
      const key = `${type} ${client.held[type].size}`;
      held[key] = (held[key] ?? 0) + 1;
    }
  }
  return { ...counts, held, told: Object.fromEntries(told), rssBytes: process.memoryUsage.rss() };
}

function start({ count = 0, address = "", labels = {}, routeNames = [] }: FleetOrder): void {
  const api = EnvoyApi.load(ENVOY_API_FILE);
  clients = Array.from({ length: count }, (_, index) => {
    const said = { role: "gateway", labels, bind_address: "127.0.0.1", ports: {} };
    const node = { id: `sim-${index}`, metadata: { [METADATA_KEY]: said } };
    return new DeltaClient({ api, address, node, routeNames, onMessage });
  });
  for (const client of clients) client.connect();
}

process.on("message", (order: FleetOrder) => {
  switch (order.kind) {
    case "start":
      start(order);
      break;
    case "reset":
      reset();
      break;
    case "reconnect":
      for (const client of clients) client.cut();
      for (const client of clients) client.connect();
      break;
    case "stop":
      for (const client of clients) client.close();
      process.send?.(report(), () => {
        process.disconnect();
      });
      return;
    case "report":
      break;
  }
  process.send?.(report());
});

process.on("disconnect", () => {
  process.exit();
});
