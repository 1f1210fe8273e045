//! Sends raw cases through a proxy and says what became of each.

import { connect } from "node:net";
import type { HttpCase } from "../fuzz/http-case.ts";
import type { RecordingUpstream } from "./recording-upstream.ts";

/** Nothing more comes for this long: the proxy has said what it has to say. */
const QUIET_MS = 250;
/** Nothing comes at all: it waits for more of the message. */
const SILENT_MS = 1_000;

export interface Verdict {
  /** Of the final responses, in order. */
  readonly statuses: readonly number[];
  /** Whole requests that the upstream got. */
  readonly forwardedCount: number;
  /** The upstream got bytes that are no HTTP, or that four readings count otherwise. */
  readonly isBroken: boolean;
}

/** What must become of a case: it is refused, or that many requests are served. */
export function mustOf({ raw, want }: HttpCase): "refuse" | number {
  if (typeof want === "string") return "refuse";
  // Well-formed, but no gateway in front of services may offer it unasked.
  return raw.startsWith("CONNECT ") ? "refuse" : want.length;
}

export async function judge(
  port: number,
  upstream: RecordingUpstream,
  raw: string,
): Promise<Verdict> {
  upstream.mark();
  const answer = await exchange(port, raw);
  const statuses = [...answer.matchAll(/(?:^|\r\n|ok)HTTP\/1\.[01] ([2-5]\d\d)/g)];
  const { whole, isBroken } = upstream.count();
  return {
    statuses: statuses.map(([, status]) => Number(status)),
    forwardedCount: whole,
    isBroken,
  };
}

function exchange(port: number, raw: string): Promise<string> {
  return new Promise((resolve) => {
    let got = "";
    const socket = connect(port, "127.0.0.1");
    const end = (): void => {
      socket.destroy();
      resolve(got);
    };
    let timer = setTimeout(end, SILENT_MS);
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      got += text;
      clearTimeout(timer);
      timer = setTimeout(end, QUIET_MS);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(got);
    });
    socket.write(raw, "latin1");
  });
}

export function wordsOf({ statuses, forwardedCount, isBroken }: Verdict): string {
  const answers = statuses.length === 0 ? "no answer" : statuses.join(", ");
  const passed = forwardedCount === 0 ? "" : `, ${forwardedCount} forwarded`;
  return `${answers}${passed}${isBroken ? ", broken bytes forwarded" : ""}`;
}

/** Did the proxy do what it must? A served request is one that the upstream got. */
export function isRight(one: HttpCase, { forwardedCount, isBroken }: Verdict): boolean {
  const must = mustOf(one);
  return !isBroken && forwardedCount === (must === "refuse" ? 0 : must);
}
