//! What the samples need of Nacos: to be registered, and to find who else is. Its gRPC protocol of
//! version 2: an instance is there as long as its connection is.

import { Client, Metadata, credentials } from "@grpc/grpc-js";

const GRPC_PORT_OFFSET = 1_000;
const GROUP = "DEFAULT_GROUP";
const REQUEST_PATH = "/Request/request";
const STREAM_PATH = "/BiRequestStream/requestBiStream";
const CHECK_MS = 2_000;
const RETRY_MS = 200;
const TIMEOUT_MS = 3_000;

/** Keeps the instance registered at `host:port`, also after a restart of the server. */
export class NacosMember {
  #address;
  #instance;
  #client = null;
  /** What was said last of each service: it counts while the server is away. */
  #known = new Map();

  constructor(address, instance) {
    const [host, port] = address.split(":");
    this.#address = `${host}:${Number(port) + GRPC_PORT_OFFSET}`;
    this.#instance = instance;
    void this.#run();
  }

  /** `address:port` of an instance of the service, another one each time. */
  async find(serviceName) {
    const asked = { serviceName, cluster: "", healthyOnly: true, udpPort: 0 };
    try {
      const { serviceInfo } = await this.#request("ServiceQueryRequest", asked);
      this.#known.set(serviceName, serviceInfo?.hosts ?? []);
    } catch (error) {
      if (!this.#known.has(serviceName)) throw error;
    }
    const isUsable = ({ healthy, enabled }) => healthy && enabled;
    const hosts = this.#known.get(serviceName).filter(isUsable);
    const host = hosts[Math.floor(Math.random() * hosts.length)];
    if (host === undefined) throw new Error(`no instance of ${serviceName} is registered`);
    return `${host.ip}:${host.port}`;
  }

  async #run() {
    for (;;) {
      try {
        await this.#stay();
      } catch {
        // The server is away, or knows the connection no more.
      }
      this.#client?.close();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #stay() {
    // Apps have a proxy for plain HTTP only.
    const options = { "grpc.enable_http_proxy": 0, "grpc.use_local_subchannel_pool": 1 };
    this.#client = new Client(this.#address, credentials.createInsecure(), options);
    await this.#request("ServerCheckRequest", {});
    const stream = this.#client.makeBidiStreamRequest(STREAM_PATH, encode, decode);
    const ended = new Promise((_, reject) => stream.on("error", reject).on("end", reject));
    ended.catch(() => undefined);
    stream.on("data", ({ type, body: { requestId = "" } }) => {
      if (!type.endsWith("Request")) return;
      const answer = { resultCode: 200, requestId };
      stream.write({ type: type.replace(/Request$/, "Response"), body: answer });
    });
    const setup = { clientVersion: "Nacos-Java-Client:v2.3.0", tenant: "", labels: {} };
    stream.write({ type: "ConnectionSetupRequest", body: setup });
    await this.#registered();
    for (;;) {
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, CHECK_MS))]);
      await this.#request("HealthCheckRequest", {});
    }
  }

  /** The server takes note of a new connection a moment later. */
  async #registered() {
    const { serviceName } = this.#instance;
    const instance = {
      weight: 1,
      healthy: true,
      enabled: true,
      ephemeral: true,
      ...this.#instance,
    };
    for (let tries = 0; ; tries++) {
      try {
        await this.#request("InstanceRequest", { serviceName, type: "registerInstance", instance });
        return;
      } catch (error) {
        if (tries === 50) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #request(type, fields) {
    const body = { module: "naming", namespace: "", groupName: GROUP, ...fields };
    const request = { type, body };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        ...[REQUEST_PATH, encode, decode, request, new Metadata()],
        { deadline: Date.now() + TIMEOUT_MS },
        (error, answer) => {
          if (error) reject(error);
          else if ((answer.body.resultCode ?? 200) === 200) resolve(answer.body);
          else reject(new Error(answer.body.message));
        },
      );
    });
  }
}

// Payload { Metadata metadata = 2 { string type = 3 }; google.protobuf.Any body = 3 { value = 2 } }

function encode({ type, body }) {
  const metadata = field(2, field(3, Buffer.from(type)));
  return Buffer.concat([metadata, field(3, field(2, Buffer.from(JSON.stringify(body))))]);
}

function decode(bytes) {
  const type = read(read(bytes, 2), 3).toString();
  return { type, body: JSON.parse(read(read(bytes, 3), 2).toString() || "{}") };
}

function field(number, bytes) {
  const head = [(number << 3) | 2];
  let rest = bytes.length;
  for (; rest > 127; rest = Math.floor(rest / 128)) head.push((rest % 128) | 128);
  return Buffer.concat([Buffer.from([...head, rest]), bytes]);
}

/** The field of that number; every field here has a length. */
function read(bytes, number) {
  let offset = 0;
  while (offset < bytes.length) {
    const [tag, start] = varint(bytes, offset);
    const [length, from] = varint(bytes, start);
    if (tag === ((number << 3) | 2)) return bytes.subarray(from, from + length);
    offset = from + length;
  }
  return Buffer.alloc(0);
}

function varint(bytes, start) {
  let [value, scale, offset] = [0, 1, start];
  for (; bytes[offset] > 127; offset++, scale *= 128) value += (bytes[offset] - 128) * scale;
  return [value + bytes[offset] * scale, offset + 1];
}
