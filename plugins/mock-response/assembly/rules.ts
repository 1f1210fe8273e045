//! Reads the configuration: Higress' `_rules_`, and what is for all other requests.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const RULES_MAX: i32 = 10000;

export class Rule {
  routes: string[] = [];
  domains: string[] = [];
  services: string[] = [];
  isForAll: bool = false;

  constructor(public body: Utf8) {}

  /** Any entry of any list suffices. */
  takes(route: string, domain: string, cluster: string): bool {
    if (this.isForAll || this.routes.includes(route)) return true;
    for (let index = 0; index < this.domains.length; index++) {
      if (isInDomain(domain, this.domains[index])) return true;
    }
    for (let index = 0; index < this.services.length; index++) {
      if (isService(cluster, this.services[index])) return true;
    }
    return false;
  }
}

/** `*` is any, `*.example.com` what ends so, `example.*` what begins so. */
function isInDomain(domain: string, pattern: string): bool {
  if (pattern == "*") return true;
  if (pattern.startsWith("*")) return domain.endsWith(pattern.substring(1));
  if (pattern.endsWith("*")) return domain.startsWith(pattern.substring(0, pattern.length - 1));
  return domain == pattern;
}

/** A cluster is `outbound|80||host`; a service is `host` or `host:80`. */
function isService(cluster: string, service: string): bool {
  const parts = cluster.split("|");
  if (parts.length != 4) return false;
  return service == parts[3] || service == parts[3] + ":" + parts[1];
}

export function readRules(text: string, errors: string[]): Rule[] {
  const rules: Rule[] = [];
  const parser = new JsonParser(text == "" ? "{}" : text);
  const whole = parser.parse();
  if (whole === null) {
    errors.push("the configuration is not JSON: " + parser.error);
    return rules;
  }
  const list = whole.get("_rules_");
  if (list !== null) {
    if (list.kind != JsonKind.array || list.items.length > RULES_MAX) {
      errors.push("_rules_ must be a list of at most " + RULES_MAX.toString() + " rules");
      return rules;
    }
    for (let index = 0; index < list.items.length; index++) {
      const path = "_rules_[" + index.toString() + "].";
      const value = list.items[index];
      const rule = new Rule(bodyOf(value, path, errors));
      rule.routes = textsOf(value, path, "_match_route_", errors);
      rule.domains = textsOf(value, path, "_match_domain_", errors);
      rule.services = textsOf(value, path, "_match_service_", errors);
      rules.push(rule);
    }
  }
  if (whole.get("body") !== null || list === null) {
    const last = new Rule(bodyOf(whole, "", errors));
    last.isForAll = true;
    rules.push(last);
  }
  return rules;
}

function bodyOf(value: JsonValue, path: string, errors: string[]): Utf8 {
  const field = value.get("body");
  if (field !== null && field.kind == JsonKind.string) return new Utf8(field.string);
  errors.push(path + "body must be a text");
  return new Utf8("");
}

function textsOf(value: JsonValue, path: string, name: string, errors: string[]): string[] {
  const texts: string[] = [];
  const field = value.get(name);
  if (field === null) return texts;
  for (let index = 0; index < field.items.length; index++) {
    const item = field.items[index];
    if (item.kind == JsonKind.string) texts.push(item.string);
    else errors.push(path + name + " must be a list of texts");
  }
  return texts;
}
