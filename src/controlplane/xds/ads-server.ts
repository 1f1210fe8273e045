//! Envoy's Aggregated Discovery Service over gRPC: one stream for each Envoy, which speaks deltas
//! or the state of the world.

import { Server, ServerCredentials, status as grpcStatus } from "@grpc/grpc-js";
import type { ServerDuplexStream, ServiceDefinition } from "@grpc/grpc-js";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Json } from "../../base/json.ts";
import type { DumpedNode } from "../../compile-envoy/config-dump.ts";
import type {
  EnvoyResource,
  EnvoyView,
  ModuleFile,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import type { MetricsSnapshot } from "../../telemetry/metrics.ts";
import type { ConfigNode } from "../publish/config-node.ts";
import { AdsConnections } from "./ads-connections.ts";
import { AdsMessages } from "./ads-messages.ts";
import type { SaidRequest } from "./delta-request.ts";
import { AdsSession } from "./ads-session.ts";
import type { AdsResponse, XdsMode } from "./ads-session.ts";
import type { EnvoyApi } from "./envoy-api.ts";
import { WRONG_TOKEN, trustIn } from "./envoy-trust.ts";
import { FairTurns } from "./fair-turns.ts";
import { EnvoyNode, sortedStatus, unknownText } from "./envoy-node.ts";
import type { EnvoyStatus } from "./envoy-node.ts";
import { readIdentity } from "./node-identity.ts";
import { ModuleStore } from "./module-store.ts";
import { ModuleWaits } from "./module-waits.ts";
import { Outbox } from "./outbox.ts";
import { SendBudget } from "./send-budget.ts";
import type { Lease } from "./send-budget.ts";
import { SharedConfigs } from "./shared-configs.ts";
import type { StallReason } from "./stall-watch.ts";

/** As many as the publisher takes nodes, but for those that workers need. */
export const ENVOYS_MAX = 2_000;
/** Those that were cut off and come back are there twice for a moment. */
const CONNECTIONS_MAX = 2 * ENVOYS_MAX;
const REQUEST_BYTES_MAX = 4 << 20;
/** Who lives answers; who does not is found by `StallWatch`, long before gRPC gives up on it. */
const PING_EVERY_MS = 10_000;
const PING_GIVEN_UP_MS = 60_000;
const STALLS: Readonly<Record<StallReason, string>> = {
  silent: "nothing has come from it for 25 s, not even the answer to a ping",
  not_taken: "it has taken nothing of what waits for it for 25 s",
};
const SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const same = (bytes: Buffer): Buffer => bytes;
const STREAM = {
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

const ADS: ServiceDefinition = {
  StreamAggregatedResources: { path: `${SERVICE}/StreamAggregatedResources`, ...STREAM },
  DeltaAggregatedResources: { path: `${SERVICE}/DeltaAggregatedResources`, ...STREAM },
};

type AdsStream = ServerDuplexStream<Buffer, Buffer>;

/** One Envoy's stream, and what is known of it. */
interface Peer {
  readonly stream: AdsStream;
  readonly mode: XdsMode;
  readonly session: AdsSession;
  readonly lease: Lease;
  readonly waits: ModuleWaits;
}

/** What gRPC takes connections by. */
type Injector = ReturnType<Server["createConnectionInjector"]>;

export interface AdsServerOptions {
  readonly api: EnvoyApi;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The plug-in that keeps lanes by trace ids in sidecars; absent: there is none. */
  readonly laneMemory?: ModuleFile;
  /** The plug-in that tells gateways the buckets of shares; absent: there is none. */
  readonly laneBucket?: ModuleFile;
  /** The plug-in that runs rules which routes cannot express; absent: there is none. */
  readonly laneFilter?: ModuleFile;
  /** The plug-in that reads and writes lanes in baggage; absent: there is none. */
  readonly laneContext?: ModuleFile;
  /** Only Envoys that fetch modules are told of these: the others are elsewhere. */
  readonly ownAreFetched?: true;
  /** Gateways that show it are told private keys; absent: nobody is. */
  readonly keyToken?: string;
  /** The file of the authorities that the Envoys' machine trusts; absent: not known. */
  readonly systemAuthorities?: string;
  readonly onUp: (node: ConfigNode) => void;
  readonly onDown: (node: ConfigNode) => void;
}

export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #messages: AdsMessages;
  readonly #configs = new SharedConfigs((module) => {
    this.#modules.offer(module);
  });
  readonly #budget: SendBudget;
  /** At most one message of each Envoy, and what is to be sent to them. */
  readonly #turns: FairTurns;
  readonly #server = new Server({
    "grpc.max_receive_message_length": REQUEST_BYTES_MAX,
    "grpc.keepalive_time_ms": PING_EVERY_MS,
    "grpc.keepalive_timeout_ms": PING_GIVEN_UP_MS,
  });
  readonly #modules: ModuleStore;
  readonly #connections: AdsConnections;
  #injector: Injector | null = null;
  readonly #metrics = new Metrics();
  readonly #cutOff = this.#metrics.counter({
    name: "graylane_xds_envoys_cut_total",
    help: "connections of Envoys that stalled and were cut off",
    labelNames: ["reason"],
  });
  #bound = "";
  readonly #nodes = new Map<AdsStream, EnvoyNode>();
  /** Called when an Envoy has taken a snapshot; one for each pod that waits for its own. */
  readonly #awaiting = new Set<() => void>();

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#messages = new AdsMessages(options.api);
    this.#budget = new SendBudget(options.clock);
    const sends = this.#metrics.counter({
      name: "graylane_xds_modules_total",
      help: "modules of plug-ins that Envoys asked for",
      labelNames: ["outcome"],
    });
    this.#modules = new ModuleStore(options.logger, sends);
    this.#turns = new FairTurns(options.clock, setImmediate);
    this.#connections = new AdsConnections({
      ...{ clock: options.clock, connectionsMax: CONNECTIONS_MAX },
      onConnection: (socket: Socket) => this.#injector?.injectConnection(socket),
      onPlain: (socket: Socket) => {
        this.#modules.serve(socket);
      },
      onStall: (peer, reason) => {
        this.#onStall(peer, reason);
      },
      onFull: () => {
        const error = `no more than ${CONNECTIONS_MAX} connections are served`;
        options.logger.warn("a connection for xDS was refused", { error });
      },
    });
    for (const reason of Object.keys(STALLS)) this.#cutOff.with(reason);
    this.#server.addService(ADS, {
      StreamAggregatedResources: (stream: AdsStream) => {
        this.#serve(stream, "sotw");
      },
      DeltaAggregatedResources: (stream: AdsStream) => {
        this.#serve(stream, "delta");
      },
    });
  }

  /** Resolves to the port; rejects when it cannot be had. */
  async listen(host: string, port: number): Promise<number> {
    const address = `${host} ${port}`;
    if (this.#bound === address) return port;
    const bound = await this.#connections.listen(host, port);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#bound = address;
    return bound;
  }

  /** Resolves when an Envoy serves that pod, or when `signal` says that nobody waits any more. */
  async sidecarReady(pod: string, signal: AbortSignal): Promise<void> {
    const isServed = (): boolean => [...this.#nodes.values()].some((node) => node.serves(pod));
    while (!signal.aborted && !isServed()) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.#awaiting.delete(look);
          signal.removeEventListener("abort", look);
          resolve();
        };
        this.#awaiting.add(look);
        signal.addEventListener("abort", look);
      });
    }
  }

  status(): EnvoyStatus[] {
    return sortedStatus(this.#nodes.values());
  }

  /** Of the Envoy of that name; null: none is connected. */
  dump(name: string, updatedAt: string): DumpedNode | null {
    const node = [...this.#nodes.values()].find(({ id }) => id === `envoy/${name}`);
    return node?.dump(updatedAt) ?? null;
  }

  metrics(): MetricsSnapshot {
    return this.#metrics.snapshot();
  }

  /** Another process serves at the port: as `stop`, and `listen` may follow. */
  leave(): void {
    if (this.#bound === "") return;
    this.#connections.close();
    this.#injector?.destroy();
    this.#injector = null;
    this.#bound = "";
    for (const stream of this.#nodes.keys()) stream.end();
  }

  /** Ends the streams: the Envoys keep what they run and come back. */
  stop(): void {
    this.#connections.close();
    this.#server.forceShutdown();
  }

  #serve(stream: AdsStream, mode: XdsMode): void {
    const lease = this.#budget.lease();
    let isOver = false;
    const inTurn = (run: () => void): void => {
      this.#turns.add(() => {
        if (!isOver) run();
      });
    };
    const outbox = new Outbox((message, taken) => {
      stream.write(message, taken);
    });
    const peer = stream.getPeer();
    this.#connections.addOutbox(peer, outbox);
    const send = (response: AdsResponse): void => {
      const bytes = this.#messages.sizeOf(mode, response);
      lease.send(response.nonce, bytes, () => {
        inTurn(() => {
          outbox.add(bytes, () => this.#messages.encode(mode, response));
        });
      });
    };
    const sizeOf = (type: ResourceType, resource: EnvoyResource): number =>
      this.#messages.sizeOfResource(mode, type, resource);
    const waits = new ModuleWaits(this.#options.clock, this.#modules);
    const session = new AdsSession(send, mode, sizeOf, waits);
    stream.on("data", (bytes: Buffer) => {
      stream.pause();
      inTurn(() => {
        this.#onMessage({ stream, mode, session, lease, waits }, bytes);
        stream.resume();
      });
    });
    const leave = (): void => {
      isOver = true;
      waits.close();
      lease.close();
      outbox.close();
      this.#connections.removeOutbox(peer, outbox);
      const node = this.#nodes.get(stream);
      if (!this.#nodes.delete(stream) || node === undefined) return;
      this.#options.logger.info("an Envoy has gone", { node: node.id });
      this.#options.onDown(node);
    };
    stream.on("end", () => {
      stream.end();
      leave();
    });
    stream.on("error", leave);
    stream.on("cancelled", leave);
  }

  #onStall(peer: string, reason: StallReason): void {
    this.#cutOff.with(reason).increment();
    const nodes = [...this.#nodes].filter(([stream]) => stream.getPeer() === peer);
    const node = nodes.map(([, { id }]) => id).join(", ");
    const error = STALLS[reason];
    this.#options.logger.warn("an Envoy was cut off", { node, peer, error });
  }

  #onMessage(peer: Peer, bytes: Buffer): void {
    const { stream, mode, session, lease } = peer;
    let said: SaidRequest;
    try {
      said = this.#messages.decode(mode, bytes);
    } catch (cause) {
      refuse(stream, `the request cannot be read: ${String(cause)}`);
      return;
    }
    if (!this.#nodes.has(stream)) {
      const problem = this.#join(peer, said.node);
      if (problem !== null) {
        this.#options.logger.warn("an Envoy was refused", { error: problem });
        refuse(stream, problem);
        return;
      }
    }
    lease.answered(said.request.nonce);
    session.onRequest(said.request);
  }

  /** Only the first request of a stream says who sends it. */
  #join({ stream, session, waits }: Peer, node: Json | undefined): string | null {
    if (this.#nodes.size >= ENVOYS_MAX) return `no more than ${ENVOYS_MAX} Envoys are served`;
    const identity = readIdentity(node);
    if (typeof identity === "string") return identity;
    const trust = trustIn(stream.metadata, this.#options.keyToken);
    if (trust === "wrong") return WRONG_TOKEN;
    const view = this.#viewOf(identity.view, trust === "keys");
    const joined: EnvoyNode = new EnvoyNode(identity.name, view, {
      ...{ session, configs: this.#configs },
      onTaken: () => {
        for (const look of [...this.#awaiting]) look();
      },
      onUnknown: (pod) => {
        const why = unknownText(pod);
        this.#options.logger.info("a sidecar waits for its Pod", { node: joined.id, why });
      },
    });
    this.#nodes.set(stream, joined);
    waits.join(identity.name);
    this.#options.logger.info("an Envoy is here", { node: joined.id });
    this.#options.onUp(joined);
    return null;
  }

  /** With what the control plane knows of its machine. */
  #viewOf(view: EnvoyView, hasKeys: boolean): EnvoyView {
    const { systemAuthorities, ownAreFetched } = this.#options;
    const hasOwn = ownAreFetched !== true || view.modules !== undefined;
    const { laneMemory, laneBucket, laneFilter, laneContext } = hasOwn ? this.#options : {};
    const context = laneContext === undefined ? {} : { laneContext };
    if (view.role === "sidecar") {
      return { ...view, ...context, ...(laneMemory === undefined ? {} : { laneMemory }) };
    }
    return {
      ...view,
      ...context,
      ...(laneBucket === undefined ? {} : { laneBucket }),
      ...(laneFilter === undefined ? {} : { laneFilter }),
      ...(hasKeys ? { hasKeys } : {}),
      ...(systemAuthorities === undefined ? {} : { systemAuthorities }),
    };
  }
}

function refuse(stream: AdsStream, details: string): void {
  stream.emit("error", { code: grpcStatus.INVALID_ARGUMENT, details });
}
