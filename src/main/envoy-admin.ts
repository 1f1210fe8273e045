//! The admin endpoints of `graylane envoy`: those that readers of Envoy's ask for.

import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { EnvoyListener } from "../envoy/bootstrap.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";
import { encodePrometheus, PROMETHEUS_CONTENT_TYPE } from "../telemetry/prometheus.ts";

export interface EnvoyAdminSource {
  readonly isReady: () => boolean;
  readonly metrics: () => Promise<MetricsSnapshot>;
  readonly listeners: readonly EnvoyListener[];
}

const TEXT = "text/plain; charset=UTF-8";

/** Resolves to the server, or to the system's code (`EADDRINUSE`) when it cannot listen. */
export function startEnvoyAdmin(
  source: EnvoyAdminSource,
  address: { readonly host: string; readonly port: number },
): Promise<Server | string> {
  const server = createServer((request, response) => {
    if (request.method === "GET" || request.method === "HEAD") {
      void answer(source, (request.url ?? "/").split("?")[0] ?? "/", response);
    } else send(response, 405, TEXT, "only GET is offered here\n");
  });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    server.listen(address.port, address.host, () => {
      resolve(server);
    });
  });
}

async function answer(
  source: EnvoyAdminSource,
  path: string,
  response: ServerResponse,
): Promise<void> {
  switch (path) {
    case "/ready":
      if (source.isReady()) send(response, 200, TEXT, "LIVE\n");
      else send(response, 503, TEXT, "INITIALIZING\n");
      return;
    case "/listeners": {
      const open = source.isReady() ? source.listeners : [];
      const lines = open.map(({ name, address: { host, port } }) => `${name}::${host}:${port}\n`);
      send(response, 200, TEXT, lines.join(""));
      return;
    }
    case "/stats":
      send(response, 200, TEXT, statsText(await source.metrics()));
      return;
    case "/stats/prometheus":
      send(response, 200, PROMETHEUS_CONTENT_TYPE, encodePrometheus(await source.metrics()));
      return;
    default:
      send(response, 404, TEXT, "GET /ready, /listeners, /stats or /stats/prometheus\n");
  }
}

/** `name: value` in lines by name; of a histogram the count and the sum. */
function statsText({ families }: MetricsSnapshot): string {
  const lines = families.flatMap(({ name, type, labelNames, series }) =>
    series.flatMap(({ labelValues, values }) => {
      const labels = labelNames.map((label, index) => `.${label}.${labelValues[index] ?? ""}`);
      const full = `${name}${labels.join("")}`;
      if (type !== "histogram") return [`${full}: ${values[0] ?? 0}`];
      const count = values.slice(0, -1).reduce((sum, one) => sum + one, 0);
      return [`${full}.count: ${count}`, `${full}.sum: ${values.at(-1) ?? 0}`];
    }),
  );
  return lines
    .sort()
    .map((line) => `${line}\n`)
    .join("");
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
