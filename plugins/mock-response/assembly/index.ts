//! Mock response: answers every request itself, with a body that depends on route, domain or
//! service as Higress' rules say.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { HeadersAction, LogLevel, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { getHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { log } from "../../../sdk/assemblyscript/assembly/log";
import { sendLocalResponse } from "../../../sdk/assemblyscript/assembly/local-response";
import { getProperty } from "../../../sdk/assemblyscript/assembly/properties";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { readRules, Rule } from "./rules";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

const AUTHORITY = new Utf8(":authority");

let rules: Rule[] = [];

export function proxy_on_configure(_root: u32, size: u32): u32 {
  const errors: string[] = [];
  const read = readRules(configurationText(size), errors);
  for (let index = 0; index < errors.length; index++) {
    log(LogLevel.error, "mock-response: " + errors[index]);
  }
  if (errors.length > 0) return 0;
  rules = read;
  return 1;
}

export function proxy_on_request_headers(_stream: u32, _count: u32, _endOfStream: u32): u32 {
  const rule = findRule();
  __collect();
  if (rule === null) return HeadersAction.proceed;
  sendLocalResponse(200, rule.body);
  return HeadersAction.stop;
}

/** The first that takes the request; the one for all others stands last. */
function findRule(): Rule | null {
  const host = getHeader(MapKind.requestHeaders, AUTHORITY);
  const domain = withoutPort(host === null ? "" : host);
  // Higress' name, and where Envoy has it today.
  let route = getProperty("route_name");
  if (route === null) route = getProperty("xds\0route_name");
  let cluster = getProperty("cluster_name");
  if (cluster === null) cluster = getProperty("xds\0cluster_name");
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index];
    if (rule.takes(route === null ? "" : route, domain, cluster === null ? "" : cluster)) {
      return rule;
    }
  }
  return null;
}

function withoutPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon == -1 || host.endsWith("]") ? host : host.substring(0, colon);
}
