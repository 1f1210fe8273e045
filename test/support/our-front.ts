//! Our own gateway as one of the proxies that raw cases are sent through.

import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { DEFAULT_EDGE } from "../../src/dataplane/exchange/edge-fields.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import type { Front, FrontPlan } from "./raw-fronts.ts";

/** Its clients must begin with a header of the PROXY protocol. */
export function behindProxies(snapshot: Snapshot): Snapshot {
  const edge = { ...DEFAULT_EDGE, proxyProtocol: "required" } as const;
  const gateways = Object.entries(snapshot.gateways).map(
    ([name, gateway]) => [name, { ...gateway, edge }] as const,
  );
  return { ...snapshot, gateways: Object.fromEntries(gateways) };
}

/** All requests go to the upstream. */
export function snapshotOf({ upstream, upstreamPort }: FrontPlan): Snapshot {
  const a = upstream === "http2" ? { ...cluster("a"), protocol: "h2" as const } : cluster("a");
  return gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(upstreamPort)] } },
  });
}

/** Ends with the harness's `endAll`. */
export async function startOurs(plan: FrontPlan): Promise<Front> {
  const snapshot = snapshotOf(plan);
  const { port } = await startFixture(
    plan.proxyProtocol === true ? behindProxies(snapshot) : snapshot,
  );
  return { name: "Graylane", port, stop: () => Promise.resolve() };
}
