//! Stands in for the image ack-demo/go-http-sample: answers who it is, then what its upstream says.
//!
//! Environment: `app`, `version`, `upstream_url` (as the image's), HOST, PORT, POD_IP.
//! Of a request's headers it forwards `x-user-id` alone, as the original does: that a lane is kept
//! over its hops is the work of the sidecars.

import { env } from "node:process";
import { callUpstream, serve } from "./http-service.js";

const FORWARDED_HEADERS = ["x-user-id"];

const upstreamUrl = env.upstream_url ?? "";
const identity = `-> ${env.app ?? "app"}(version: ${env.version ?? "v1"}, ip: ${env.POD_IP ?? ""})`;

serve(8000, async (request) => {
  if (upstreamUrl === "") return { status: 200, body: identity };
  const upstream = await callUpstream(upstreamUrl, request, FORWARDED_HEADERS);
  if (upstream.status === 200) return { status: 200, body: `${identity}${upstream.body}` };
  return { status: 502, body: `${identity}-> ${upstreamUrl} failed: ${upstream.body}` };
});
