//! Our own gateway as one of the proxies that raw cases are sent through.

import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { startUpstream } from "./http1-fronts.ts";
import type { Front } from "./http1-fronts.ts";

/** Ends with the harness's `endAll`. */
export async function startOurs(): Promise<Front> {
  const upstream = await startUpstream();
  const a = cluster("a");
  const { port } = await startFixture(
    gatewaySnapshot(80, [forwardRoute(a.name)], {
      clusters: { [a.name]: a },
      endpoints: { [a.name]: { endpoints: [endpoint(upstream.port)] } },
    }),
  );
  const stop = (): Promise<void> => {
    upstream.close();
    return Promise.resolve();
  };
  return { name: "Graylane", port, upstream, stop };
}
