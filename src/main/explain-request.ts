//! From the API's question about a URL to what a gateway worker can answer.

import type { ExplainRequest, ExplainResult } from "../api/types.ts";
import type { ExplainQuestion } from "../dataplane/filter/explain.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { WorkerLink } from "./worker-link.ts";

export const HTTP_PORT = 80;

/** An explanation that cannot be given: the message says why and what to do. */
export class ExplainError extends Error {
  override readonly name = "ExplainError";
}

/** `openPorts`: port of a Gateway resource -> the port opened on this machine. */
export async function explainRequest(
  request: ExplainRequest,
  context: {
    readonly gateways: readonly WorkerLink[];
    readonly snapshot: Snapshot;
    readonly openPorts: ReadonlyMap<number, number>;
  },
): Promise<ExplainResult> {
  const question = questionOf(request, context.snapshot, context.openPorts);
  const worker = context.gateways[0];
  if (worker === undefined) throw new ExplainError("no gateway worker runs at the moment");
  const answer = await worker.explain(question);
  if (answer === null) throw new ExplainError(`no gateway listens for port ${question.port}`);
  return answer;
}

/** As the parser would give the request. */
export function questionOf(
  request: ExplainRequest,
  snapshot: Snapshot,
  openPorts: ReadonlyMap<number, number>,
): ExplainQuestion {
  const url = parseUrl(request.url);
  const asked = url.port === "" ? HTTP_PORT : Number(url.port);
  const port = gatewayPort(asked, snapshot, openPorts);
  const { remoteAddress } = request;
  return {
    method: request.method,
    authority: url.host,
    target: `${url.pathname}${url.search}`,
    headers: [
      ["host", url.host],
      ...request.headers.map(([name, value]) => [name.toLowerCase(), onTheWire(value)] as const),
    ],
    ...(request.body === undefined ? {} : { body: Buffer.from(request.body).toString("latin1") }),
    port,
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
  };
}

/** Clients send text as UTF-8; the codec reads a character for each byte, and no space around. */
function onTheWire(value: string): string {
  return Buffer.from(value.replace(/^[ \t]+|[ \t]+$/g, "")).toString("latin1");
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ExplainError(`${text} is no URL; write it whole, as in http://localhost/path`);
  }
  if (url.protocol !== "http:") {
    throw new ExplainError(`${text}: only http:// is explained at the moment`);
  }
  return url;
}

/** The URL may name the Gateway's port or the port that was opened for it. */
function gatewayPort(
  asked: number,
  snapshot: Snapshot,
  openPorts: ReadonlyMap<number, number>,
): number {
  const ports = Object.values(snapshot.gateways).flatMap(({ listeners }) =>
    listeners.map(({ port }) => port),
  );
  if (ports.includes(asked)) return asked;
  return ports.find((port) => openPorts.get(port) === asked) ?? asked;
}
