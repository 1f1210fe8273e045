//! What is measured: the same requests for each contender, and what a right answer is.

import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import type { PlannedRequest } from "../support/open-loop.ts";

/** Where the upstreams listen. */
export interface Ports {
  readonly v1: number;
  readonly v2: number;
  /** Only in bench/envoy-faults.ts. */
  readonly v3?: number;
}

/** What is started, on one core. */
export type ContenderPlan = {
  readonly name: string;
  /** How many times the hash-tagging plug-in runs; 0 when absent. */
  readonly plugins?: number;
} & (
  | {
      /** In bench/end-to-end/envoy/. */
      readonly envoyFile: string;
    }
  | { readonly snapshot: (ports: Ports, root: string) => Snapshot }
);

export interface Scenario {
  readonly name: string;
  /** The first is what the others are compared with. */
  readonly contenders: readonly [ContenderPlan, ...ContenderPlan[]];
  /** In bench/end-to-end/; "" for wrk's own request. */
  readonly wrkScript: string;
  /** Absent: `/`. */
  readonly path?: string;
  /** Clients speak TLS. */
  readonly isSecure?: boolean;
  /** Clients speak HTTP/2 in clear, with so many streams at once on each connection (h2load). */
  readonly http2Streams?: number;
  /** Answers are so large that few are checked, and that no latency is measured. */
  readonly isBulky?: boolean;
  /** A request of the checking pass with its expected answer. */
  readonly request: (index: number) => PlannedRequest;
}

export interface PlannedFields {
  readonly method?: string;
  readonly path?: string;
  /** Header fields, each with its line's end. */
  readonly fields: string;
  readonly body?: string;
}

/** A request to which the answer is 200 with the text `want`. */
export function planned(request: PlannedFields, want: string): PlannedRequest {
  const { method = "GET", path = "/", fields, body = "" } = request;
  const length = body === "" ? "" : `content-length: ${body.length}\r\n`;
  return {
    bytes: `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${fields}${length}\r\n${body}`,
    check: ({ status, body: got }) => {
      const text = got.toString("latin1");
      return status === 200 && text === want
        ? null
        : `${fields.trim()}: ${status} ${text}, not ${want}`;
    },
  };
}
