//! Hash tagging: puts each user, by a hash of one header, into a fixed share of the traffic.
//!
//! The callbacks only. What is configured is read by configuration.ts, and rule.ts decides.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { HeadersAction, LogLevel } from "../../../sdk/assemblyscript/assembly/enums";
import { collectAfterExplain, isExplaining } from "../../../sdk/assemblyscript/assembly/explain";
import { log } from "../../../sdk/assemblyscript/assembly/log";
import { readRules } from "./configuration";
import { Rule } from "./rule";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

let rules: Rule[] = [];

export function proxy_on_configure(_root: u32, size: u32): u32 {
  const errors: string[] = [];
  const read = readRules(configurationText(size), errors);
  for (let index = 0; index < errors.length; index++) {
    log(LogLevel.error, "hash-tagging: " + errors[index]);
  }
  if (errors.length > 0) return 0;
  rules = read;
  return 1;
}

export function proxy_on_request_headers(stream: u32, _count: u32, _endOfStream: u32): u32 {
  const isExplained = isExplaining(stream);
  for (let index = 0; index < rules.length; index++) {
    unchecked(rules[index]).apply(index, isExplained);
  }
  if (isExplained) collectAfterExplain();
  return HeadersAction.proceed;
}
