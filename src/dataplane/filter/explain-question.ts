//! From a question about a request to the head that a gateway would have parsed, and its answer.

import type { Clock } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import { Headers } from "../../http/headers.ts";
import { normalizeTarget } from "../../http/path.ts";
import { DEFAULT_EDGE } from "../exchange/edge-fields.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { explain } from "./explain.ts";
import type { ExplainAnswer, ExplainQuestion } from "./explain.ts";

/** Who asks is on this machine, and stands for a client that is. */
const LOOPBACK = "127.0.0.1";

/** Null when the runtime has no listener of that port. */
export async function explainQuestion(
  runtime: Runtime,
  question: ExplainQuestion,
  deps: { readonly prng: Prng; readonly clock: Clock },
): Promise<ExplainAnswer | null> {
  const listener = runtime.listeners.get(question.port);
  if (listener === undefined) return null;
  const { path } = listener.gateway.edge ?? DEFAULT_EDGE;
  const headers = new Headers();
  for (const [name, value] of question.headers) headers.add(name, value);
  const body = Buffer.from(question.body ?? "", "latin1");
  if (body.length > 0) headers.set("content-length", String(body.length));
  const request = {
    method: question.method,
    target: normalizeTarget(question.target, path) ?? question.target,
    authority: question.authority,
    scheme: null,
    versionMinor: 1,
    headers,
    body: body.length === 0 ? "none" : "length",
    contentLength: body.length,
    keepAlive: true,
    expectContinue: false,
    upgrade: null,
  } as const;
  const { remoteAddress = LOOPBACK } = question;
  return await explain(runtime, listener, { ...request }, { ...deps, remoteAddress, body });
}
