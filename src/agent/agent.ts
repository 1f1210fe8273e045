//! In-process help for Node apps: `node --import graylane/agent`.
//!
//! Carries the lane from the request that an app works on to the calls that it makes for it, with
//! no line changed in the app; and, where there is a sidecar (`GRAYLANE_OUTBOUND`, `host:port`),
//! sends the app's plain HTTP calls there. Loaded into apps of other people: it needs nothing but
//! Node, works once however often it is loaded, and no failure of it reaches the app.
//!
//! `GRAYLANE_CARRY`: names of headers, separated by commas, or `off`. Behind a sidecar each request
//! says by itself what its lanes need. `GRAYLANE_CARRY_HOSTS`: endings of host names to which calls
//! that no sidecar sees carry context; without it, names and addresses that look internal.
//! `GRAYLANE_AGENT_ENDPOINTS`: a file or a URL with a list of endpoints; the agent then picks those
//! of the lane by itself. Only then the code for it is loaded.

import { patchCalls } from "./calls.ts";
import { carrySettings, quietly } from "./carry.ts";
import type { CarrySettings } from "./carry.ts";
import type { Direct } from "./endpoints/direct.ts";
import { patchGrpc } from "./grpc.ts";
import { patchServers } from "./inbound.ts";
import { parseOutbound, routeThroughSidecar } from "./sidecar-route.ts";
import { patchUndici } from "./undici.ts";

/** The app, a tool and `NODE_OPTIONS` may all name the agent, and each in a copy of its own. */
const INSTALLED = Symbol.for("graylane.agent");

if (!Reflect.has(globalThis, INSTALLED)) {
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  await install().catch(() => undefined);
}

async function install(): Promise<void> {
  const outbound = parseOutbound(process.env["GRAYLANE_OUTBOUND"]);
  if (outbound !== null) {
    quietly(() => {
      routeThroughSidecar(outbound);
    });
  }
  const settings = carrySettings(process.env, outbound?.host ?? null);
  const whyNot =
    outbound === null
      ? settings === null && "GRAYLANE_CARRY is off"
      : "the sidecar picks the endpoints";
  const direct = await directOf(whyNot);
  if (settings !== null) patchAll({ ...settings, direct });
}

/** Null: the app's calls go where the app sends them, or to the sidecar. */
async function directOf(whyNot: string | false): Promise<Direct | null> {
  const place = process.env["GRAYLANE_AGENT_ENDPOINTS"] ?? "";
  if (place === "") return null;
  if (whyNot !== false) {
    process.stderr.write(`graylane agent: GRAYLANE_AGENT_ENDPOINTS is not used: ${whyNot}\n`);
    return null;
  }
  const { pickEndpoints } = await import("./endpoints/endpoints.ts");
  return pickEndpoints(place, process.env);
}

function patchAll(settings: CarrySettings): void {
  quietly(() => {
    patchServers(settings);
  });
  quietly(() => {
    patchCalls(settings);
  });
  quietly(() => {
    patchUndici(settings);
  });
  quietly(() => {
    patchGrpc(settings);
  });
}
