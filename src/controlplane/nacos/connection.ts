//! One connection to a Nacos server: requests, and what the server says by itself.
//!
//! Subscriptions belong to the connection: when it ends, everything begins anew with another.
//! <https://nacos.io/en/blog/nacos-gvr7dx_awbbpb_qdi2918msnqbonu2/> (the model of version 2)

import { Client, credentials, Metadata } from "@grpc/grpc-js";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { delay } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { decodePayload, encodePayload } from "./payload.ts";
import type { JsonRecord, NacosPayload } from "./payload.ts";

export interface ConnectionOptions {
  readonly host: string;
  /** Of gRPC. */
  readonly port: number;
  readonly namespace: string;
  readonly clock: Clock;
  /** Sent with each request: the token of who has logged in. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** What the server says of a service that is subscribed to. */
  readonly onPush: (body: JsonRecord) => void;
  /** Once, when no request will be answered any more. Not after `close`. */
  readonly onEnd: (reason: string) => void;
}

export const REQUEST_TIMEOUT_MS = 3_000;
/** A service with thousands of instances. */
const MESSAGE_BYTES_MAX = 16 << 20;
/** How often it is looked whether the server has taken note of the connection. */
const SETUP_RETRY_MS = 50;
const CODE_OK = 200;
const CODE_NOT_REGISTERED = 301;
const CLIENT_VERSION = "Nacos-Java-Client:v2.3.0";
const REQUEST_PATH = "/Request/request";
const STREAM_PATH = "/BiRequestStream/requestBiStream";

/** What the server answers instead of what was asked for. */
export class NacosRefusal extends Error {
  override readonly name = "NacosRefusal";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export class NacosConnection {
  readonly #options: ConnectionOptions;
  readonly #client: Client;
  #stream: ClientDuplexStream<NacosPayload, NacosPayload> | null = null;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { host, port } = options;
    this.#client = new Client(
      host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
      credentials.createInsecure(),
      {
        // Another registry at the same server is another client to it.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_http_proxy": 0,
        "grpc.enable_retries": 0,
        "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      },
    );
  }

  /** Resolves when requests are answered; rejects when the server is not there, or refuses. */
  async open(): Promise<void> {
    const { clock, namespace } = this.#options;
    await this.request("ServerCheckRequest", {});
    const stream = this.#client.makeBidiStreamRequest(STREAM_PATH, encodePayload, decodePayload);
    this.#stream = stream;
    stream.on("data", (payload: NacosPayload) => {
      this.#onMessage(payload);
    });
    stream.on("error", (error: Error) => {
      this.#end(reasonOf(error));
    });
    stream.on("end", () => {
      this.#end("the server has ended the connection");
    });
    const setup = { clientVersion: CLIENT_VERSION, tenant: namespace, labels: SETUP_LABELS };
    stream.write({ type: "ConnectionSetupRequest", headers: {}, body: setup });
    const endMs = clock.monotonicMs() + REQUEST_TIMEOUT_MS;
    for (;;) {
      try {
        await this.check();
        return;
      } catch (error) {
        const isEarly = error instanceof NacosRefusal && error.code === CODE_NOT_REGISTERED;
        if (!isEarly || this.#isClosed || clock.monotonicMs() > endMs) throw error;
      }
      await delay(clock, SETUP_RETRY_MS);
    }
  }

  /** Whether the server still knows the connection. */
  async check(): Promise<void> {
    await this.request("HealthCheckRequest", {});
  }

  /** Rejects with a `NacosRefusal` when the server says no. */
  request(type: string, body: JsonRecord): Promise<JsonRecord> {
    const { clock, headers } = this.#options;
    const request = { type, headers: headers(), body: { module: "naming", ...body } };
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        ...([REQUEST_PATH, encodePayload, decodePayload, request, new Metadata()] as const),
        (error, answer) => {
          timer.cancel();
          if (error !== null) reject(new Error(reasonOf(error)));
          else if (answer === undefined) reject(new Error("the answer is empty"));
          else if (codeOf(answer.body) === CODE_OK) resolve(answer.body);
          else reject(refusalOf(answer.body));
        },
      );
      const timer = clock.after(REQUEST_TIMEOUT_MS, () => {
        reject(new Error(`no answer within ${REQUEST_TIMEOUT_MS / 1_000} s`));
        call.cancel();
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stream?.cancel();
    this.#client.close();
  }

  #onMessage({ type, body }: NacosPayload): void {
    if (type === "NotifySubscriberRequest") this.#options.onPush(body);
    if (type === "ConnectResetRequest") {
      this.#end("the server asks to connect again");
      return;
    }
    if (!type.endsWith("Request")) return;
    const answer = { resultCode: CODE_OK, errorCode: 0, requestId: body["requestId"] ?? "" };
    const answerType = `${type.slice(0, -"Request".length)}Response`;
    this.#stream?.write({ type: answerType, headers: this.#options.headers(), body: answer });
  }

  #end(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.onEnd(reason);
  }
}

const SETUP_LABELS = { source: "sdk", module: "naming", AppName: "graylane" };

function codeOf(body: JsonRecord): number {
  return Number(body["resultCode"] ?? CODE_OK);
}

function refusalOf({ message, errorCode, resultCode }: JsonRecord): NacosRefusal {
  const code = Number(errorCode ?? 0) || Number(resultCode);
  const text = typeof message === "string" && message !== "" ? message : `code ${code}`;
  return new NacosRefusal(code, text);
}

/** gRPC's text in a few words: it repeats the addresses and its own codes. */
function reasonOf(error: Error): string {
  const code = /\b(ECONNREFUSED|ENOTFOUND|ECONNRESET|EHOSTUNREACH|ETIMEDOUT)\b/.exec(error.message);
  if (code !== null) return code[0];
  return error.message.split("\n")[0]?.slice(0, 200) ?? "";
}
