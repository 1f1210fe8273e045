//! Stands in for the images mse-demo-hz/spring-cloud-a, -b and -c: a chain of applications, each of
//! which answers its name with its tag, its address, and what the next one says.
//!
//! Environment: `app_name` (A), `service_tag` (gray; empty in the base environment), `config` (shown
//! by the first application only), `next_url` (empty at the end of the chain), HOST, PORT, POD_IP.
//! It forwards `x-mse-tag`, as the governance agent in the original does.

import { env } from "node:process";
import { callUpstream, serve } from "./http-service.js";

const FORWARDED_HEADERS = ["x-mse-tag"];

const nextUrl = env.next_url ?? "";
const config = env.config ?? "";
const identity =
  `${env.app_name ?? "A"}${env.service_tag ?? ""}[${env.POD_IP ?? ""}]` +
  (config === "" ? "" : `[config=${config}]`);

serve(20001, async (request) => {
  if (nextUrl === "") return { status: 200, body: identity };
  const next = await callUpstream(nextUrl, request, FORWARDED_HEADERS);
  if (next.status === 200) return { status: 200, body: `${identity} -> ${next.body}` };
  return { status: 502, body: `${identity} -> ${nextUrl} failed: ${next.body}` };
});
