//! One simulated Envoy: a delta-xDS client over gRPC, without a data path. It asks as Envoy does,
//! answers every message, keeps the versions of what it was sent, and says them after a reconnect.

import { Client, credentials } from "@grpc/grpc-js";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { systemClock } from "../../src/base/clock.ts";
import type { Json } from "../../src/base/json.ts";
import { RESOURCE_TYPES, TYPE_URLS, byType } from "../../src/compile-envoy/envoy-config.ts";
import type { ResourceType } from "../../src/compile-envoy/envoy-config.ts";
import type { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { REQUEST, encodedNames, encodedVersions } from "./delta-request.ts";
import { readResponse } from "./delta-response.ts";

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Envoy's own for a stream; Node's 64 KiB would make many turns of one message. */
const WINDOW_BYTES = 16 << 20;
const RECONNECT_MS = 200;
const same = (bytes: Buffer): Buffer => bytes;

export interface ClientOptions {
  readonly api: EnvoyApi;
  readonly address: string;
  readonly node: Json;
  /** The tables that its listeners name. */
  readonly routeNames: readonly string[];
  /** A message was answered. */
  readonly onMessage: (type: ResourceType, names: readonly string[], bytes: number) => void;
}

export class DeltaClient {
  readonly #options: ClientOptions;
  readonly #client: Client;
  /** Versions by name. */
  readonly held: Readonly<Record<ResourceType, Map<string, string>>> = byType(() => new Map());
  #stream: ClientDuplexStream<Buffer, Buffer> | null = null;
  #asked = new Set<ResourceType>();
  #isClosed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#client = new Client(options.address, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      "grpc-node.flow_control_window": WINDOW_BYTES,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
    });
  }

  connect(): void {
    const stream = this.#client.makeBidiStreamRequest(PATH, same, same);
    this.#stream = stream;
    this.#asked = new Set();
    stream.on("data", (bytes: Buffer) => {
      if (this.#stream === stream) this.#onMessage(bytes);
    });
    stream.on("error", () => {
      // Cut on purpose, or the control plane has gone: as Envoy, it comes back.
      if (this.#stream !== stream) return;
      this.#stream = null;
      systemClock.after(RECONNECT_MS, () => {
        if (this.#stream === null && !this.#isClosed) this.connect();
      });
    });
    this.#ask("clusters", { node: this.#options.node });
    // As Envoy after a reconnect: what it watches it asks for at once.
    if (this.held.endpoints.size > 0) this.#ask("endpoints");
    if (this.held.listeners.size > 0) this.#ask("listeners");
    if (this.held.routes.size > 0) this.#ask("routes");
  }

  cut(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
  }

  close(): void {
    this.#isClosed = true;
    this.cut();
    this.#client.close();
  }

  #onMessage(bytes: Buffer): void {
    const { typeUrl, nonce, resources, removed } = readResponse(bytes);
    const type = RESOURCE_TYPES.find((one) => TYPE_URLS[one] === typeUrl);
    if (type === undefined) throw new Error(`a message of a type not asked for: ${typeUrl}`);
    const held = this.held[type];
    const news = resources.filter(({ name }) => !held.has(name)).map(({ name }) => name);
    for (const { name, version } of resources) held.set(name, version);
    for (const name of removed) held.delete(name);
    if (type === "clusters") this.#watchEndpoints(news, removed);
    this.#send(type, { response_nonce: nonce });
    if (type === "clusters" && !this.#asked.has("listeners")) this.#ask("listeners");
    if (type === "listeners" && !this.#asked.has("routes")) this.#ask("routes");
    const names = [...resources.map(({ name }) => name), ...removed];
    this.#options.onMessage(type, names, bytes.length);
  }

  #watchEndpoints(news: readonly string[], removed: readonly string[]): void {
    for (const name of removed) this.held.endpoints.delete(name);
    if (!this.#asked.has("endpoints")) {
      this.#ask("endpoints");
      return;
    }
    if (news.length === 0 && removed.length === 0) return;
    this.#send("endpoints", {
      resource_names_subscribe: news,
      resource_names_unsubscribe: removed,
    });
  }

  /** The first request of the stream for that type. */
  #ask(type: ResourceType, more: Readonly<Record<string, Json>> = {}): void {
    this.#asked.add(type);
    const names = encodedNames(this.#options.api, this.#namesOf(type));
    this.#send(type, more, [...names, ...encodedVersions(this.#options.api, this.held[type])]);
  }

  #namesOf(type: ResourceType): readonly string[] {
    if (type === "endpoints") return [...this.held.clusters.keys()];
    return type === "routes" ? this.#options.routeNames : [];
  }

  #send(
    type: ResourceType,
    fields: Readonly<Record<string, Json>>,
    more: readonly Buffer[] = [],
  ): void {
    const request = { type_url: TYPE_URLS[type], ...fields };
    this.#stream?.write(Buffer.concat([this.#options.api.encode(REQUEST, request), ...more]));
  }
}
