//! The agent picks the endpoints of the app's calls by itself: where there are no sidecars.

import type { Direct } from "./direct.ts";
import { EndpointWatch } from "./endpoint-watch.ts";
import { patchChannels } from "./grpc.ts";
import { Hops } from "./hops.ts";
import { directRequest } from "./http.ts";
import { DirectSessions } from "./http2.ts";
import { directDispatch } from "./undici.ts";

/** Who runs the app can ask it which list is in force, and how old it is. */
const STATUS = Symbol.for("graylane.agent.endpoints");

/** `place`: a file or a URL. Resolves when it has been looked at once. */
export async function pickEndpoints(place: string, env: NodeJS.ProcessEnv): Promise<Direct> {
  const hops = new Hops({
    namespace: env["POD_NAMESPACE"] ?? "default",
    pod: env["POD_NAME"] ?? "",
  });
  const watch = new EndpointWatch(place, hops, say);
  Object.defineProperty(globalThis, STATUS, { value: () => watch.status });
  await watch.start();
  const sessions = new DirectSessions(hops);
  return {
    names: () => hops.names(),
    request: (protocol, words) => directRequest(hops, protocol, words),
    dispatch: (dispatcher, call) => directDispatch(hops, dispatcher, call),
    connect: (connect, words) => sessions.connect(connect, words),
    stream: (session, headers) => sessions.stream(session, headers),
    patchGrpc: (exports) => {
      patchChannels(hops, exports);
    },
    knows: (authority) => hops.knows(authority),
  };
}

function say(text: string): void {
  process.stderr.write(`graylane agent: ${text}\n`);
}
