//! Our own gateway as one of the proxies that raw cases are sent through.

import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import type { Front, FrontPlan } from "./raw-fronts.ts";

/** Ends with the harness's `endAll`. */
export async function startOurs({ upstream, upstreamPort }: FrontPlan): Promise<Front> {
  const a = upstream === "http2" ? { ...cluster("a"), protocol: "h2" as const } : cluster("a");
  const { port } = await startFixture(
    gatewaySnapshot(80, [forwardRoute(a.name)], {
      clusters: { [a.name]: a },
      endpoints: { [a.name]: { endpoints: [endpoint(upstreamPort)] } },
    }),
  );
  return { name: "Graylane", port, stop: () => Promise.resolve() };
}
