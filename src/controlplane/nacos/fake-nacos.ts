//! A small server that speaks Nacos' gRPC, for tests: as the real ones, without their delays.

import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { decodePayload, encodePayload } from "./payload.ts";
import type { JsonRecord, NacosPayload } from "./payload.ts";

export interface FakeInstance {
  readonly ip: string;
  readonly port: number;
  readonly [field: string]: unknown;
}

const CODECS = {
  requestSerialize: encodePayload,
  requestDeserialize: decodePayload,
  responseSerialize: encodePayload,
  responseDeserialize: decodePayload,
};

type Stream = ServerDuplexStream<NacosPayload, NacosPayload>;

export class FakeNacos {
  /** By namespace, group and name, with slashes between; the namespace `public` is empty. */
  readonly services: Map<string, readonly FakeInstance[]> = new Map<string, FakeInstance[]>();
  /** Requests by type. */
  readonly counts: Map<string, number> = new Map<string, number>();
  /** Null: nobody has to log in. */
  token: string | null = null;
  /** Whether requests are left without an answer. */
  isFrozen = false;
  readonly #streams = new Set<Stream>();
  #server = new Server();
  #login = createServer();
  #madeMs = 0;

  /** At that port, or some; the HTTP API has a port of its own. */
  async start(port = 0): Promise<{ readonly grpcPort: number; readonly httpPort: number }> {
    this.#server = new Server();
    this.#server.addService(
      {
        request: { path: "/Request/request", ...ONE_WAY, ...CODECS },
        stream: { path: "/BiRequestStream/requestBiStream", ...BOTH_WAYS, ...CODECS },
      },
      {
        request: (
          call: ServerUnaryCall<NacosPayload, NacosPayload>,
          done: sendUnaryData<NacosPayload>,
        ) => {
          if (!this.isFrozen) done(null, this.#answer(call.request));
        },
        stream: (stream: Stream) => {
          this.#streams.add(stream);
          stream.on("data", () => undefined);
          stream.on("end", () => {
            this.#streams.delete(stream);
            stream.end();
          });
          stream.on("error", () => this.#streams.delete(stream));
        },
      },
    );
    const grpcPort = await new Promise<number>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    this.#login = createServer((request, response) => {
      request.resume();
      response.statusCode = this.token === null ? 403 : 200;
      response.end(JSON.stringify({ accessToken: this.token, tokenTtl: 18_000 }));
    });
    await new Promise<void>((resolve) => this.#login.listen(0, "127.0.0.1", resolve));
    return { grpcPort, httpPort: (this.#login.address() as AddressInfo).port };
  }

  stop(): void {
    this.#server.forceShutdown();
    this.#login.close();
    this.#login.closeAllConnections();
    this.#streams.clear();
  }

  /** Without telling anybody. */
  put(key: string, instances: readonly FakeInstance[]): void {
    this.services.set(key, instances);
  }

  /** And tells everybody who is connected. */
  push(key: string, instances: readonly FakeInstance[]): void {
    this.put(key, instances);
    const [namespace = "", groupName = "", serviceName = ""] = key.split("/");
    const body = { requestId: "1", namespace, groupName, serviceName };
    const serviceInfo = this.#infoOf(key);
    for (const stream of this.#streams) {
      stream.write({
        ...{ type: "NotifySubscriberRequest", headers: {}, body: { ...body, serviceInfo } },
      });
    }
  }

  #answer(request: NacosPayload): NacosPayload {
    const { type, body } = request;
    this.counts.set(type, (this.counts.get(type) ?? 0) + 1);
    const isFree = type === "ServerCheckRequest" || type === "HealthCheckRequest";
    if (type !== "ServerCheckRequest" && this.#streams.size === 0) {
      return answerOf("ErrorResponse", { ...REFUSED, errorCode: 301, message: "not registered" });
    }
    if (this.token !== null && !isFree && request.headers["accessToken"] !== this.token) {
      return answerOf("ErrorResponse", { ...REFUSED, errorCode: 403, message: "unknown user!" });
    }
    const { namespace, groupName, serviceName } = body;
    const prefix = `${String(namespace)}/${String(groupName)}/`;
    if (type === "ServiceListRequest") {
      const names = [...this.services.keys()].filter((key) => key.startsWith(prefix));
      const start = (Number(body["pageNo"]) - 1) * Number(body["pageSize"]);
      const page = names.slice(start, start + Number(body["pageSize"]));
      const serviceNames = page.map((key) => key.slice(prefix.length));
      return answerOf("ServiceListResponse", { count: names.length, serviceNames });
    }
    if (type === "SubscribeServiceRequest" || type === "ServiceQueryRequest") {
      const serviceInfo = this.#infoOf(`${prefix}${String(serviceName)}`);
      return answerOf("QueryServiceResponse", { serviceInfo });
    }
    return answerOf(`${type.slice(0, -"Request".length)}Response`, {});
  }

  #infoOf(key: string): JsonRecord {
    const [, groupName = "", name = ""] = key.split("/");
    this.#madeMs += 1;
    return { groupName, name, lastRefTime: this.#madeMs, hosts: this.services.get(key) ?? [] };
  }
}

const ONE_WAY = { requestStream: false, responseStream: false };
const BOTH_WAYS = { requestStream: true, responseStream: true };
const REFUSED = { resultCode: 500 };

function answerOf(type: string, body: JsonRecord): NacosPayload {
  return { type, headers: {}, body: { resultCode: 200, errorCode: 0, ...body } };
}
