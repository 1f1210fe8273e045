//! `graylane plugin run`: a gateway with one plug-in, and an upstream that echoes what it got.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../base/clock.ts";
import type { RunOptions } from "../cli/plugin.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Plugin, Route, Snapshot } from "../snapshot/snapshot.ts";
import { snapshotVersion } from "../snapshot/delta.ts";
import { EnvoyLog } from "../telemetry/envoy-log.ts";
import { readModule } from "./plugin-commands.ts";
import { StaticEngine } from "./static-engine.ts";
import type { Terminal } from "./up.ts";

const HOST = "127.0.0.1";
/** Of a request's body that is shown; the rest is counted. */
const ECHO_BYTES_MAX = 1024 * 1024;
const ECHO_TIMEOUT_MS = 60_000;

/** Resolves to the exit code: 0 when it was told to stop, 1 when the plug-in does not start. */
export async function runPlugin(
  options: RunOptions,
  terminal: Terminal,
  interrupted: AbortSignal,
): Promise<number> {
  const bytes = await readModule(options.file, terminal);
  if (bytes === null) return 1;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const echo = await startEcho();
  const snapshot = snapshotOf(options, sha256, (echo.address() as AddressInfo).port);
  const levels = { main: "warning", wasm: options.logLevel } as const;
  const log = new EnvoyLog(systemClock, levels, (line) => {
    terminal.stderr.write(line);
  });
  const engine = new StaticEngine({
    snapshot,
    workerCount: 1,
    worker: {
      gatewayHost: HOST,
      portMap: { [options.port]: options.port },
      accessLogPath: "",
      logLevel: "info",
      logPath: "",
      envoyLog: levels,
      isTrial: true,
    },
    logger: log,
  });
  const failure = await start(engine, options.file);
  if (failure === null) {
    const where = `http://${HOST}:${options.port}`;
    terminal.stdout.write(`${options.file} runs at ${where}; the upstream echoes. Ctrl-C stops.\n`);
    if (!interrupted.aborted) await once(interrupted, "abort");
  } else terminal.stderr.write(`error: ${failure}\n`);
  await engine.stop();
  echo.close();
  echo.closeAllConnections();
  return failure === null ? 0 : 1;
}

/** Null when it serves; else why not. */
async function start(engine: StaticEngine, file: string): Promise<string | null> {
  try {
    const fault = await engine.start(() => true);
    return fault === null ? null : `${file}: ${fault.message}\n${fault.remedy}`.trimEnd();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function startEcho(): Promise<Server> {
  const server = createServer((request, response) => {
    void echoOf(request).then((text) => {
      response.setHeader("content-type", "application/json");
      response.end(text);
    });
  });
  server.requestTimeout = ECHO_TIMEOUT_MS;
  server.listen(0, HOST);
  await once(server, "listening");
  return server;
}

async function echoOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let kept = 0;
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (kept < ECHO_BYTES_MAX) chunks.push(chunk);
      kept = Math.min(kept + chunk.length, ECHO_BYTES_MAX);
    }
  } catch {
    // The gateway went away: nobody reads the answer.
  }
  const body = Buffer.concat(chunks).subarray(0, ECHO_BYTES_MAX).toString();
  const { method, url: path, headers, trailers } = request;
  return `${JSON.stringify({ method, path, headers, bytes, body, trailers }, null, 2)}\n`;
}

const SOURCE = { kind: "Plugin", namespace: "", name: "plug-in" };

function snapshotOf(options: RunOptions, sha256: string, echoPort: number): Snapshot {
  const plugin: Plugin = {
    name: "plug-in",
    source: SOURCE,
    module: { sha256, path: options.file },
    configuration: options.configuration,
    rootId: options.rootId,
    vmId: "",
    failMode: "closed",
    env: {},
  };
  const target = { kind: "cluster", cluster: "echo", subset: null } as const;
  const edits = { requestHeaders: NO_HEADER_OPERATIONS, responseHeaders: NO_HEADER_OPERATIONS };
  const route: Route = {
    ...{ id: "echo", label: "echo", source: SOURCE, matches: [], timeoutMs: 0, ...edits },
    action: { kind: "forward", destinations: [{ weight: 1, target, fallback: null, ...edits }] },
  };
  const listener = {
    port: options.port,
    protocol: "HTTP",
    hosts: ["*"],
    routeTable: "run",
  } as const;
  const content = {
    ...EMPTY_SNAPSHOT,
    gateways: {
      run: { name: "run", labels: {}, listeners: [listener], plugins: [plugin.name] },
    },
    routeTables: { run: { name: "run", virtualHosts: [{ domains: ["*"], routes: [route] }] } },
    clusters: {
      echo: {
        ...{ name: "echo", host: "echo", aliases: [], namespace: "", port: echoPort },
        ...{ service: "/echo", connectTimeoutMs: 5_000 },
      },
    },
    endpoints: {
      echo: { endpoints: [{ address: HOST, port: echoPort, pod: "echo", labels: {} }] },
    },
    plugins: { [plugin.name]: plugin },
  };
  return { ...content, version: snapshotVersion(content) };
}
