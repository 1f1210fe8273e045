//! The admin endpoints, with Envoy's paths: readiness, metrics, the running configuration.

import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";
import { encodePrometheus, PROMETHEUS_CONTENT_TYPE } from "../telemetry/prometheus.ts";

export interface AdminSource {
  readonly isReady: () => boolean;
  readonly metrics: () => Promise<MetricsSnapshot>;
  readonly snapshot: () => Snapshot;
}

/** Resolves to the server, or to the system's code (`EADDRINUSE`) when it cannot listen. */
export function startAdminServer(
  source: AdminSource,
  address: { readonly host: string; readonly port: number },
): Promise<Server | string> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "text/plain", "only GET is offered here\n");
      return;
    }
    void answer(source, request.url ?? "/", response);
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

async function answer(source: AdminSource, url: string, response: ServerResponse): Promise<void> {
  const path = url.split("?")[0] ?? "/";
  switch (path) {
    case "/ready":
      if (source.isReady()) send(response, 200, "text/plain", "LIVE\n");
      else send(response, 503, "text/plain", "PRE_INITIALIZING\n");
      return;
    case "/stats/prometheus": {
      const metrics = await source.metrics();
      send(response, 200, PROMETHEUS_CONTENT_TYPE, encodePrometheus(metrics));
      return;
    }
    case "/config_dump":
      send(response, 200, "application/json", JSON.stringify(source.snapshot(), withoutKeys, 1));
      return;
    default:
      send(response, 404, "text/plain", "GET /ready, /stats/prometheus or /config_dump\n");
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
