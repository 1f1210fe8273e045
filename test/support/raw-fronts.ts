//! Proxies that raw cases are sent through: ours and real ones.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../src/base/testing/free-port.ts";
import { Envoy, findEnvoy } from "./envoy.ts";
import { startOurs } from "./our-front.ts";

export interface FrontPlan {
  /** What it speaks with its clients. */
  readonly downstream: "http1" | "http2";
  readonly upstream: "http1" | "http2";
  readonly upstreamPort: number;
  /** Its clients must begin with a header of the PROXY protocol; it tells X-Forwarded-For. */
  readonly proxyProtocol?: boolean;
  /** It ends TLS with this pair, in PEM; absent: it speaks in clear. */
  readonly tls?: { readonly certificate: string; readonly privateKey: string };
}

export interface Front {
  readonly name: string;
  readonly port: number;
  /** Its lines, of ours when it is a process of its own. */
  readonly accessLog?: string;
  stop(): Promise<void>;
}

interface FrontUpstream {
  readonly port: number;
  close(): void;
}

/** A proxy with an upstream of its own. */
export interface Subject<Upstream extends FrontUpstream> {
  readonly front: Front;
  readonly upstream: Upstream;
}

const READY_MS_MAX = 20_000;

/** Graylane first, then those that are there; `missing` says what is not, and why. */
export function startFronts<Upstream extends FrontUpstream>(
  plan: Omit<FrontPlan, "upstreamPort">,
  startUpstream: () => Promise<Upstream>,
  first: StartFront = startOurs,
): Promise<Started<Upstream>> {
  return startEach([first, startEnvoy, startHaproxy, startNginx], plan, startUpstream);
}

/** The same without Graylane. */
export function startRealFronts<Upstream extends FrontUpstream>(
  plan: Omit<FrontPlan, "upstreamPort">,
  startUpstream: () => Promise<Upstream>,
): Promise<Started<Upstream>> {
  return startEach([startEnvoy, startHaproxy, startNginx], plan, startUpstream);
}

type StartFront = (plan: FrontPlan) => Promise<Front | string | null>;

interface Started<Upstream extends FrontUpstream> {
  readonly subjects: Subject<Upstream>[];
  readonly missing: string[];
}

async function startEach<Upstream extends FrontUpstream>(
  starts: readonly StartFront[],
  plan: Omit<FrontPlan, "upstreamPort">,
  startUpstream: () => Promise<Upstream>,
): Promise<Started<Upstream>> {
  const subjects: Subject<Upstream>[] = [];
  const missing: string[] = [];
  for (const start of starts) {
    const upstream = await startUpstream();
    const front = await start({ ...plan, upstreamPort: upstream.port });
    if (front !== null && typeof front === "object") {
      subjects.push({ front, upstream });
    } else {
      upstream.close();
      if (front !== null) missing.push(front);
    }
  }
  return { subjects, missing };
}

export async function stopFronts(subjects: readonly Subject<FrontUpstream>[]): Promise<void> {
  for (const { upstream } of subjects) upstream.close();
  await Promise.all(subjects.map(({ front }) => front.stop()));
}

/** The program, from Debian's package of the same name if need be. */
function installedProgram(name: string): string | null {
  const found = findProgram(name);
  if (found !== null || process.getuid?.() !== 0) return found;
  spawnSync("apt-get", ["install", "-y", "--no-install-recommends", name], { stdio: "ignore" });
  return findProgram(name);
}

/** A program that listens on `port` when it is ready. */
export async function startProgram(
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

function notInstalled(name: string): string {
  return `no ${name}, and it could not be installed`;
}

/** Where the program is, or null. */
function findProgram(name: string): string | null {
  return (
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
      .map((folder) => join(folder, name))
      .find((path) => existsSync(path)) ?? null
  );
}

/** Null: it speaks no HTTP/2 to upstreams. */
async function startNginx(plan: FrontPlan): Promise<Front | string | null> {
  if (plan.upstream === "http2") return null;
  const path = installedProgram("nginx");
  if (path === null) return notInstalled("nginx");
  const port = await freePort();
  const isProxied = plan.proxyProtocol === true;
  const words =
    (plan.downstream === "http2" ? " http2" : "") +
    (isProxied ? " proxy_protocol" : "") +
    (plan.tls === undefined ? "" : " ssl");
  const told = isProxied ? "proxy_set_header X-Forwarded-For $proxy_protocol_addr;" : "";
  const folder = mkdtempSync(join(tmpdir(), "graylane-nginx-"));
  const pair = writePair(folder, plan.tls);
  const shown = pair === "" ? "" : `ssl_certificate ${pair}; ssl_certificate_key ${pair};`;
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
     events {} http { access_log off; client_body_temp_path ${folder}/a;
     proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
     server { listen 127.0.0.1:${port}${words}; ${shown} location / {
     proxy_pass http://127.0.0.1:${plan.upstreamPort}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; ${told} } } }`,
  );
  const command = [path, "-e", join(folder, "error.log"), "-c", join(folder, "nginx.conf")];
  const stop = await startProgram("nginx", command, port);
  return frontOf("nginx", { port, folder, stop });
}

async function startHaproxy(plan: FrontPlan): Promise<Front | string> {
  const path = installedProgram("haproxy");
  if (path === null) return notInstalled("haproxy");
  const port = await freePort();
  const wordsOf = (protocol: string): string => (protocol === "http2" ? " proto h2" : "");
  const folder = mkdtempSync(join(tmpdir(), "graylane-haproxy-"));
  const pair = writePair(folder, plan.tls);
  const shown = pair === "" ? "" : ` ssl crt ${pair}`;
  writeFileSync(
    join(folder, "haproxy.cfg"),
    `defaults\n mode http\n${plan.proxyProtocol === true ? " option forwardfor\n" : ""} timeout connect 5s\n timeout client 20s\n timeout server 20s\n` +
      `frontend f\n bind 127.0.0.1:${port}${plan.proxyProtocol === true ? " accept-proxy" : ""}${shown}${wordsOf(plan.downstream)}\n default_backend b\n` +
      `backend b\n server s 127.0.0.1:${plan.upstreamPort}${wordsOf(plan.upstream)}\n`,
  );
  const stop = await startProgram(
    "haproxy",
    [path, "-db", "-f", join(folder, "haproxy.cfg")],
    port,
  );
  return frontOf("HAProxy", { port, folder, stop });
}

const ENVOY_HTTP2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

const PROXY_FILTER = {
  name: "envoy.filters.listener.proxy_protocol",
  typed_config: {
    "@type":
      "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
  },
};

function envoyTls(tls: FrontPlan["tls"]): object {
  if (tls === undefined) return {};
  const { certificate, privateKey } = tls;
  const pair = {
    certificate_chain: { inline_string: certificate },
    private_key: { inline_string: privateKey },
  };
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const context = { "@type": type, common_tls_context: { tls_certificates: [pair] } };
  return { transport_socket: { name: "envoy.transport_sockets.tls", typed_config: context } };
}

/** The path of the pair in one file; `""`: there is none. */
function writePair(folder: string, tls: FrontPlan["tls"]): string {
  if (tls === undefined) return "";
  const path = join(folder, "pair.pem");
  writeFileSync(path, `${tls.certificate}\n${tls.privateKey}\n`);
  return path;
}

async function startEnvoy(plan: FrontPlan): Promise<Front | string> {
  const binary = await findEnvoy();
  if (binary.kind === "missing") return binary.reason;
  const port = await freePort();
  const type = "type.googleapis.com/envoy.extensions.filters";
  const address = (value: number): object => ({
    socket_address: { address: "127.0.0.1", port_value: value },
  });
  const manager = {
    "@type": `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "cases",
    normalize_path: true,
    ...(plan.proxyProtocol === true ? { use_remote_address: true } : {}),
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
          ...(plan.proxyProtocol === true ? { listener_filters: [PROXY_FILTER] } : {}),
          filter_chains: [
            { filters: [{ name: "hcm", typed_config: manager }], ...envoyTls(plan.tls) },
          ],
        },
      ],
      clusters: [
        {
          name: "up",
          type: "STATIC",
          connect_timeout: "5s",
          ...(plan.upstream === "http2" ? ENVOY_HTTP2 : {}),
          load_assignment: {
            cluster_name: "up",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(plan.upstreamPort) } }] }],
          },
        },
      ],
    },
  });
  return frontOf("Envoy", { port, folder: "", stop: () => envoy.stop() });
}

function frontOf(
  name: string,
  parts: {
    readonly port: number;
    readonly folder: string;
    stop(): Promise<void>;
  },
): Front {
  const { port, folder } = parts;
  return {
    name,
    port,
    async stop() {
      await parts.stop();
      if (folder !== "") rmSync(folder, { recursive: true, force: true });
    },
  };
}
