//! The process of the simulated Envoys: does what its parent says, and tells what it has seen.

import { systemClock } from "../../src/base/clock.ts";
import { RESOURCE_TYPES } from "../../src/compile-envoy/envoy-config.ts";
import type { ResourceType } from "../../src/compile-envoy/envoy-config.ts";
import { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { METADATA_KEY } from "../../src/controlplane/xds/node-identity.ts";
import { ENVOY_API_FILE } from "../../src/main/package-root.ts";
import { DeltaClient } from "./delta-client.ts";
import { RawClient } from "./raw-client.ts";

export interface FleetOrder {
  readonly kind: "start" | "stall" | "reset" | "reconnect" | "stop" | "report";
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
  /** When all clients had been told of a resource, once, twice …; by the same keys. */
  readonly toldAllMs: Readonly<Record<string, readonly number[]>>;
  /** How many of those that stall are connected. */
  readonly stalled: number;
  readonly messages: number;
  readonly bytes: number;
  /** Wall time of the last answer. */
  readonly lastMs: number;
  readonly rssBytes: number;
}

/** Only so many names are counted: the first synchronisation tells of all. */
const NAMES_COUNTED = 50;
/** Less than what there is for them to read. */
const STALLED_WINDOW_BYTES = 2 << 10;
const SIP_MS = 1_000;

let clients: DeltaClient[] = [];
let stalled: RawClient[] = [];
let told = new Map<string, number>();
let toldAllMs: Record<string, number[]> = {};
let counts = { messages: 0, bytes: 0, lastMs: 0 };

function reset(): void {
  told = new Map();
  toldAllMs = {};
  counts = { messages: 0, bytes: 0, lastMs: 0 };
}

function onMessage(type: ResourceType, names: readonly string[], bytes: number): void {
  counts.messages += 1;
  counts.bytes += bytes;
  counts.lastMs = performance.timeOrigin + performance.now();
  if (names.length > NAMES_COUNTED) return;
  for (const name of names) {
    const key = `${type} ${name}`;
    const count = (told.get(key) ?? 0) + 1;
    told.set(key, count);
    if (count % clients.length === 0) (toldAllMs[key] ??= []).push(counts.lastMs);
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
  const rssBytes = process.memoryUsage.rss();
  const all = { told: Object.fromEntries(told), toldAllMs, stalled: stalled.length };
  return { ...counts, ...all, held, rssBytes };
}

function nodeOf(id: string, labels: FleetOrder["labels"] = {}) {
  const said = { role: "gateway", labels, bind_address: "127.0.0.1", ports: {} };
  return { id, metadata: { [METADATA_KEY]: said } };
}

/** Half of them read nothing, the others a byte each second. */
function stall({ count = 0, address = "", labels = {} }: FleetOrder): void {
  const api = EnvoyApi.load(ENVOY_API_FILE);
  for (let index = 0; index < count; index += 1) {
    const node = nodeOf(`stalled-${index}`, labels);
    const client = new RawClient({ api, address, node, windowBytes: STALLED_WINDOW_BYTES });
    stalled.push(client);
    const sips = index % 2 === 1;
    const sip = (): void => {
      if (!stalled.includes(client)) return;
      client.sip();
      systemClock.after(SIP_MS, sip);
    };
    if (sips) sip();
    void client.closed.then(() => {
      stalled = stalled.filter((one) => one !== client);
    });
  }
}

function start({ count = 0, address = "", labels = {}, routeNames = [] }: FleetOrder): void {
  const api = EnvoyApi.load(ENVOY_API_FILE);
  clients = Array.from({ length: count }, (_, index) => {
    const node = nodeOf(`sim-${index}`, labels);
    return new DeltaClient({ api, address, node, routeNames, onMessage });
  });
  for (const client of clients) client.connect();
}

process.on("message", (order: FleetOrder) => {
  switch (order.kind) {
    case "start":
      start(order);
      break;
    case "stall":
      stall(order);
      break;
    case "reset":
      reset();
      break;
    case "reconnect":
      for (const client of clients) client.cut();
      for (const client of clients) client.connect();
      break;
    case "stop":
      for (const client of [...clients, ...stalled]) client.close();
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
