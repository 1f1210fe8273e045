//! Stands in for the images mse-demo-hz/spring-cloud-a, -b and -c: a chain of applications, each of
//! which answers its name with its tag, its address, and what the next one says.
//!
//! Environment: `app_name` (A), `service_tag` (gray; empty in the base environment), `config` (shown
//! by the first application only), `next_url` (empty at the end of the chain), HOST, PORT, POD_IP.
//! It forwards `x-mse-tag`, as the governance agent in the original does.
//!
//! With `spring.cloud.nacos.discovery.server-addr` (host:port) it registers itself in that Nacos as
//! `service_name` at POD_IP:`service_port`, with its tag as metadata, and calls an instance of
//! `next_service` that Nacos tells it, with the path of `next_url`.

import { env } from "node:process";
import { callUpstream, serve } from "./http-service.js";

const FORWARDED_HEADERS = ["x-mse-tag"];

const nextUrl = env.next_url ?? "";
const config = env.config ?? "";
const identity =
  `${env.app_name ?? "A"}${env.service_tag ?? ""}[${env.POD_IP ?? ""}]` +
  (config === "" ? "" : `[config=${config}]`);

const nacosAddress = env["spring.cloud.nacos.discovery.server-addr"] ?? "";
const nacos = nacosAddress === "" ? null : await joinNacos();

/** gRPC takes a while to load: only where it is needed. */
async function joinNacos() {
  const { NacosMember } = await import("./nacos.js");
  return new NacosMember(nacosAddress, registration());
}

function registration() {
  const tag = env.service_tag ?? "";
  return {
    serviceName: env.service_name,
    ip: env.POD_IP,
    port: Number(env.service_port),
    metadata: tag === "" ? {} : { "alicloud.service.tag": tag },
  };
}

async function urlOfNext() {
  if (nacos === null) return nextUrl;
  const place = await nacos.find(env.next_service);
  return `http://${place}${new URL(nextUrl).pathname}`;
}

serve(20001, async (request) => {
  if (nextUrl === "") return { status: 200, body: identity };
  const next = await callUpstream(await urlOfNext(), request, FORWARDED_HEADERS);
  if (next.status === 200) return { status: 200, body: `${identity} -> ${next.body}` };
  return { status: 502, body: `${identity} -> ${nextUrl} failed: ${next.body}` };
});
