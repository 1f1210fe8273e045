//! Proxies that raw HTTP/1.1 cases are sent through, and an upstream that counts what reaches it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../src/base/testing/free-port.ts";
import { RequestParser } from "../../src/http/request-parser.ts";
import { Envoy, findEnvoy } from "./envoy.ts";

export interface Front {
  readonly name: string;
  readonly port: number;
  readonly upstream: CountingUpstream;
  stop(): Promise<void>;
}

export interface CountingUpstream {
  readonly port: number;
  /** Whole requests that have come, by our own strict reading. */
  requestCount: number;
  /** Bytes came that are no request. */
  faultCount: number;
  close(): void;
}

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const READY_MS_MAX = 20_000;

export async function startUpstream(): Promise<CountingUpstream> {
  const server = createServer((socket) => {
    const sink = {
      onRequestHead: () => undefined,
      onRequestBody: () => undefined,
      onRequestEnd: () => {
        upstream.requestCount += 1;
        socket.write(ANSWER);
      },
    };
    // A proxy adds fields of its own to those of a case at the limit.
    const parser = new RequestParser(sink, { fieldCountMax: 256 });
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      let rest = chunk;
      while (rest.length > 0) {
        const took = parser.execute(rest);
        if (typeof took !== "number") {
          upstream.faultCount += 1;
          socket.destroy();
          return;
        }
        rest = rest.subarray(took);
        parser.next();
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const upstream: CountingUpstream = {
    port: (server.address() as AddressInfo).port,
    requestCount: 0,
    faultCount: 0,
    close: () => void server.close(),
  };
  return upstream;
}

/** A program that listens on `port` when it is ready. */
async function startProgram(
  name: string,
  command: readonly string[],
  port: number,
): Promise<() => Promise<void>> {
  const child = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  for (let waitedMs = 0; !(await isOpen(port)); waitedMs += 50) {
    const isOver = child.exitCode !== null || waitedMs > READY_MS_MAX;
    if (isOver) throw new Error(`${name} did not start: ${said.slice(-500)}`);
    await sleep(50);
  }
  return async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const isConnected = await new Promise<boolean>((resolve) => {
    socket.on("connect", () => {
      resolve(true);
    });
    socket.on("error", () => {
      resolve(false);
    });
  });
  socket.destroy();
  return isConnected;
}

/** Where the program is, or null. */
export function findProgram(name: string): string | null {
  return (
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
      .map((folder) => join(folder, name))
      .find((path) => existsSync(path)) ?? null
  );
}

export async function startNginx(path: string): Promise<Front> {
  const [upstream, port] = [await startUpstream(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), "graylane-nginx-"));
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
     events {} http { access_log off; client_body_temp_path ${folder}/a;
     proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
     server { listen 127.0.0.1:${port}; location / {
     proxy_pass http://127.0.0.1:${upstream.port}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; } } }`,
  );
  const command = [path, "-e", join(folder, "error.log"), "-c", join(folder, "nginx.conf")];
  const stop = await startProgram("nginx", command, port);
  return frontOf("nginx", { port, upstream, folder, stop });
}

export async function startHaproxy(path: string): Promise<Front> {
  const [upstream, port] = [await startUpstream(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), "graylane-haproxy-"));
  writeFileSync(
    join(folder, "haproxy.cfg"),
    `defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n` +
      `frontend f\n bind 127.0.0.1:${port}\n default_backend b\n` +
      `backend b\n server s 127.0.0.1:${upstream.port}\n`,
  );
  const stop = await startProgram(
    "haproxy",
    [path, "-db", "-f", join(folder, "haproxy.cfg")],
    port,
  );
  return frontOf("HAProxy", { port, upstream, folder, stop });
}

export async function startEnvoy(): Promise<Front | string> {
  const binary = await findEnvoy();
  if (binary.kind === "missing") return binary.reason;
  const [upstream, port] = [await startUpstream(), await freePort()];
  const type = "type.googleapis.com/envoy.extensions.filters";
  const address = (value: number): object => ({
    socket_address: { address: "127.0.0.1", port_value: value },
  });
  const manager = {
    "@type": `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "cases",
    normalize_path: true,
    http_protocol_options: { accept_http_10: true },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": `${type}.http.router.v3.Router` },
      },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }],
        },
      ],
    },
  };
  const envoy = await Envoy.start({
    binary: binary.path,
    staticResources: {
      listeners: [
        {
          name: "cases",
          address: address(port),
          filter_chains: [{ filters: [{ name: "hcm", typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: "up",
          type: "STATIC",
          connect_timeout: "5s",
          load_assignment: {
            cluster_name: "up",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream.port) } }] }],
          },
        },
      ],
    },
  });
  return frontOf("Envoy", { port, upstream, folder: "", stop: () => envoy.stop() });
}

function frontOf(
  name: string,
  parts: {
    readonly port: number;
    readonly upstream: CountingUpstream;
    readonly folder: string;
    stop(): Promise<void>;
  },
): Front {
  const { port, upstream, folder } = parts;
  return {
    name,
    port,
    upstream,
    async stop() {
      upstream.close();
      await parts.stop();
      if (folder !== "") rmSync(folder, { recursive: true, force: true });
    },
  };
}
