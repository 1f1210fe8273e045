//! Calls of http and https: sent to an endpoint of the lane, under the name that the app called.

import { isIP } from "node:net";
import type { OutgoingHttpHeaders, RequestOptions } from "node:http";
import { current } from "../carry.ts";
import { hostOf, isPlainCall, readArguments } from "../sidecar-route.ts";
import type { HttpArguments } from "../sidecar-route.ts";
import { lookupIn, withContext } from "./call-headers.ts";
import { dialOptions } from "./dial.ts";
import type { Words } from "./direct.ts";
import type { Hops } from "./hops.ts";

export const DEFAULT_PORTS = { "http:": 80, "https:": 443 } as const;

/** Null: the call is not for a service that is known. */
export function directRequest(
  hops: Hops,
  protocol: "http:" | "https:",
  words: Words,
): Words | null {
  const call = readArguments(words as unknown as HttpArguments);
  if (call === null || !isPlainCall(call.options, protocol)) return null;
  const { options, onResponse } = call;
  const host = hostOf(options);
  const port = Number(options.port ?? options.defaultPort ?? 0) || DEFAULT_PORTS[protocol];
  const carried = current();
  const hop = hops.route(`${host}:${port}`, lookupIn(options.headers, carried));
  if (hop === null) return null;
  const directed: RequestOptions = { ...options, ...(dialOptions(hop) as RequestOptions) };
  const isDefault = port === DEFAULT_PORTS[protocol];
  const named = options.setHost === false ? {} : { host: isDefault ? host : `${host}:${port}` };
  const headers = withContext(options.headers, { carried, hop, ...named });
  directed.headers = headers as OutgoingHttpHeaders;
  // Of the way to the service's own address.
  delete directed.family;
  if (protocol === "https:" && isIP(host) === 0) {
    const secure = directed as RequestOptions & { servername?: string };
    secure.servername ??= host;
  }
  return [directed, onResponse];
}
