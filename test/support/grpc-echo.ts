//! A gRPC server that says what it was asked, and a client that goes by `http_proxy`.

import { Client, Metadata, Server, ServerCredentials, credentials } from "@grpc/grpc-js";
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";

const PATH = "/test.Echo/Say";
const DEADLINE_MS = 10_000;
const PROXY_VARIABLES = ["grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"];

export interface Echo {
  readonly said: string;
  /** The metadata that the client has sent; `""`: none has come. */
  readonly lane: string;
}

const same = (bytes: Buffer): Buffer => bytes;

export class EchoServer {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(): Promise<EchoServer> {
    const server = new Server();
    const method = {
      ...{ path: PATH, requestStream: false, responseStream: false },
      ...{ requestSerialize: same, requestDeserialize: same },
      ...{ responseSerialize: same, responseDeserialize: same },
    };
    server.addService(
      { say: method },
      {
        say: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
          const sent = JSON.parse(call.request.toString()) as { said: string; name: string };
          const lane = String(call.metadata.get(sent.name)[0] ?? "");
          done(null, Buffer.from(JSON.stringify({ said: sent.said, lane })));
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    return new EchoServer(server, port);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

/** Rejects with what gRPC says, its status in front. */
export async function callByProxy(
  proxy: string,
  target: string,
  [name, value]: readonly [name: string, value: string],
): Promise<Echo> {
  const client = withProxy(proxy, () => new Client(target, credentials.createInsecure()));
  const metadata = new Metadata();
  metadata.set(name, value);
  const request = Buffer.from(JSON.stringify({ said: "hello", name }));
  const options = { deadline: performance.timeOrigin + performance.now() + DEADLINE_MS };
  try {
    return await new Promise<Echo>((resolve, reject) => {
      client.makeUnaryRequest(
        ...([PATH, same, same, request, metadata, options] as const),
        (error: Error | null, answer?: Buffer) => {
          if (error !== null) reject(error);
          else resolve(JSON.parse(String(answer)) as Echo);
        },
      );
    });
  } finally {
    client.close();
  }
}

/** The library reads the variables when a client is made. */
function withProxy<T>(proxy: string, make: () => T): T {
  const before = PROXY_VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of PROXY_VARIABLES) Reflect.deleteProperty(process.env, name);
  process.env["http_proxy"] = `http://${proxy}`;
  try {
    return make();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  }
}
