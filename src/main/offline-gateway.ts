//! A gateway without sockets, made of a snapshot: what it would decide, by the code that decides.

import type { ExplainRequest, ExplainResult } from "../api/types.ts";
import { systemClock } from "../base/clock.ts";
import { SeededPrng } from "../base/prng.ts";
import type { OfflineGateway } from "../cli/context.ts";
import { explainQuestion } from "../dataplane/filter/explain-question.ts";
import { Preparer, stopUnused } from "../dataplane/runtime/prepare.ts";
import type { Runtime } from "../dataplane/runtime/runtime.ts";
import { pluginServices } from "../dataplane/worker/plugin-services.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createLogger } from "../telemetry/logger.ts";
import { HTTP_PORT, questionOf } from "./explain-request.ts";

export async function offlineGateway(snapshot: Snapshot): Promise<OfflineGateway> {
  const logger = createLogger({ level: "silent" });
  const preparer = new Preparer({ logger, plugins: pluginServices(systemClock, logger) });
  const runtime = await preparer.prepareGateway(snapshot, null);
  return {
    explain(request: ExplainRequest, draw: number): Promise<ExplainResult | null> {
      const question = questionOf(request, snapshot, new Map());
      const port = portOf(runtime, question.port);
      return explainQuestion(
        runtime,
        { ...question, port },
        {
          prng: new SeededPrng(draw),
          clock: systemClock,
        },
      );
    },
    close() {
      stopUnused(runtime.plugins, new Map());
    },
  };
}

/** Where the log was written another port may have been opened: then the usual one is meant. */
function portOf({ listeners }: Runtime, asked: number): number {
  if (listeners.has(asked) || listeners.has(HTTP_PORT))
    return listeners.has(asked) ? asked : HTTP_PORT;
  return [...listeners.keys()][0] ?? asked;
}
