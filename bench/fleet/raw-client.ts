//! A client of delta xDS that asks for all clusters and reads nothing by itself.

import { once } from "node:events";
import { connect } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Json } from "../../src/base/json.ts";
import { TYPE_URLS } from "../../src/compile-envoy/envoy-config.ts";
import type { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { REQUEST } from "./delta-request.ts";

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Of gRPC: a byte for the compression, four for the length. */
const HEAD_BYTES = 5;

export interface RawClientOptions {
  readonly api: EnvoyApi;
  /** `host:port`. */
  readonly address: string;
  readonly node: Json;
  /** How much it takes without reading. */
  readonly windowBytes: number;
}

export class RawClient {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  /** Its connection has ended. */
  readonly closed: Promise<unknown>;

  constructor({ api, address, node, windowBytes }: RawClientOptions) {
    const settings = { initialWindowSize: windowBytes };
    this.#session = connect(`http://${address}`, { settings });
    this.#session.on("error", () => undefined);
    this.closed = once(this.#session, "close");
    this.#stream = this.#session.request({
      ...{ ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" },
    });
    this.#stream.on("error", () => undefined);
    const message = api.encode(REQUEST, { type_url: TYPE_URLS.clusters, node });
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  ping(): Promise<void> {
    return new Promise((resolve) => {
      this.#session.ping(() => {
        resolve();
      });
    });
  }

  async read(bytes: number): Promise<void> {
    for (let left = bytes; left > 0;) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk === null) await once(this.#stream, "readable");
      else left -= chunk.length;
    }
  }

  /** One byte, if there is one. */
  sip(): void {
    this.#stream.read(1);
  }

  close(): void {
    this.#session.destroy();
  }
}
