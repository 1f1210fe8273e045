//! Envoy's Aggregated Discovery Service over gRPC: one stream for each Envoy, which speaks deltas
//! or the state of the world.

import { Server, ServerCredentials, status as grpcStatus } from "@grpc/grpc-js";
import type { ServerDuplexStream, ServiceDefinition } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock.ts";
import type { Json } from "../../base/json.ts";
import type { DumpedNode } from "../../compile-envoy/config-dump.ts";
import type { EnvoyView, ModuleFile } from "../../compile-envoy/envoy-config.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConfigNode } from "../publish/config-node.ts";
import { AdsMessages } from "./ads-messages.ts";
import type { SaidRequest } from "./delta-request.ts";
import { AdsSession } from "./ads-session.ts";
import type { XdsMode } from "./ads-session.ts";
import type { EnvoyApi } from "./envoy-api.ts";
import { WRONG_TOKEN, trustIn } from "./envoy-trust.ts";
import { FairTurns } from "./fair-turns.ts";
import { EnvoyNode, sortedStatus } from "./envoy-node.ts";
import type { EnvoyStatus } from "./envoy-node.ts";
import { readIdentity } from "./node-identity.ts";
import { SendBudget } from "./send-budget.ts";
import type { Lease } from "./send-budget.ts";
import { SharedConfigs } from "./shared-configs.ts";

/** As many as the publisher takes nodes, but for those that workers need. */
export const ENVOYS_MAX = 2_000;
const REQUEST_BYTES_MAX = 4 << 20;
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
}

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
  readonly #configs = new SharedConfigs();
  readonly #budget: SendBudget;
  /** At most one message of each Envoy, and what is to be sent to them. */
  readonly #turns: FairTurns;
  readonly #server = new Server({ "grpc.max_receive_message_length": REQUEST_BYTES_MAX });
  #bound = "";
  readonly #nodes = new Map<AdsStream, EnvoyNode>();
  /** Called when an Envoy has taken a snapshot; one for each pod that waits for its own. */
  readonly #awaiting = new Set<() => void>();

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#messages = new AdsMessages(options.api);
    this.#budget = new SendBudget(options.clock);
    this.#turns = new FairTurns(options.clock, setImmediate);
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
  listen(host: string, port: number): Promise<number> {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    if (this.#bound === address) return Promise.resolve(port);
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync(address, credentials, (error, bound) => {
        if (error === null) {
          this.#bound = address;
          resolve(bound);
        } else reject(error);
      });
    });
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

  /** Another process serves at the port: as `stop`, and `listen` may follow. */
  leave(): void {
    if (this.#bound === "") return;
    this.#server.unbind(this.#bound);
    this.#bound = "";
    for (const stream of this.#nodes.keys()) stream.end();
  }

  /** Ends the streams: the Envoys keep what they run and come back. */
  stop(): void {
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
    const session = new AdsSession((response) => {
      lease.send(response.nonce, this.#messages.sizeOf(mode, response), () => {
        inTurn(() => stream.write(this.#messages.encode(mode, response)));
      });
    }, mode);
    stream.on("data", (bytes: Buffer) => {
      stream.pause();
      inTurn(() => {
        this.#onMessage({ stream, mode, session, lease }, bytes);
        stream.resume();
      });
    });
    const leave = (): void => {
      isOver = true;
      lease.close();
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

  #onMessage({ stream, mode, session, lease }: Peer, bytes: Buffer): void {
    let said: SaidRequest;
    try {
      said = this.#messages.decode(mode, bytes);
    } catch (cause) {
      refuse(stream, `the request cannot be read: ${String(cause)}`);
      return;
    }
    if (!this.#nodes.has(stream)) {
      const problem = this.#join(stream, session, said.node);
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
  #join(stream: AdsStream, session: AdsSession, node: Json | undefined): string | null {
    if (this.#nodes.size >= ENVOYS_MAX) return `no more than ${ENVOYS_MAX} Envoys are served`;
    const identity = readIdentity(node);
    if (typeof identity === "string") return identity;
    const trust = trustIn(stream.metadata, this.#options.keyToken);
    if (trust === "wrong") return WRONG_TOKEN;
    const view = this.#viewOf(identity.view, trust === "keys");
    const joined = new EnvoyNode(identity.name, view, {
      ...{ session, configs: this.#configs },
      onTaken: () => {
        for (const look of [...this.#awaiting]) look();
      },
    });
    this.#nodes.set(stream, joined);
    this.#options.logger.info("an Envoy is here", { node: joined.id });
    this.#options.onUp(joined);
    return null;
  }

  /** With what the control plane knows of its machine. */
  #viewOf(view: EnvoyView, hasKeys: boolean): EnvoyView {
    const { laneMemory, laneBucket, laneFilter, systemAuthorities } = this.#options;
    if (view.role === "sidecar") return laneMemory === undefined ? view : { ...view, laneMemory };
    return {
      ...view,
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
