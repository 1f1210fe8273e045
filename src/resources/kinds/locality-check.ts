//! Istio's rules within `localityLbSetting`, which a schema cannot say.

import { items, member } from "./member.ts";
import type { JsonObject, Path, Report } from "./kind.ts";

const PERCENT_ALL = 100;

/** Of a DestinationRule. */
export function checkLocalities(object: JsonObject, report: Report): void {
  const spec = member(object, "spec");
  checkPolicy(member(spec, "trafficPolicy"), ["spec", "trafficPolicy"], report);
  items(member(spec, "subsets")).forEach((subset, index) => {
    const path = ["spec", "subsets", index, "trafficPolicy"];
    checkPolicy(member(subset, "trafficPolicy"), path, report);
  });
}

function checkPolicy(policy: unknown, path: Path, report: Report): void {
  checkSetting(
    member(member(policy, "loadBalancer"), "localityLbSetting"),
    [...path, "loadBalancer", "localityLbSetting"],
    report,
  );
  items(member(policy, "portLevelSettings")).forEach((settings, index) => {
    checkPolicy(settings, [...path, "portLevelSettings", index], report);
  });
}

function checkSetting(setting: unknown, path: Path, report: Report): void {
  const distribute = items(member(setting, "distribute"));
  if (distribute.length > 0 && items(member(setting, "failoverPriority")).length > 0) {
    report({
      code: "GL0119",
      path: [...path, "failoverPriority"],
      says: "has no meaning beside distribute, which says where all requests go",
      remedy: "Write one of them.",
    });
  }
  distribute.forEach((rule, index) => {
    checkParts(member(rule, "to"), [...path, "distribute", index, "to"], report);
  });
  items(member(setting, "failover")).forEach((rule, index) => {
    if (member(rule, "from") !== member(rule, "to")) return;
    report({
      code: "GL0119",
      path: [...path, "failover", index, "to"],
      says: "is the region that it is to stand in for",
      remedy: "Name another region.",
    });
  });
}

function checkParts(to: unknown, path: Path, report: Report): void {
  if (typeof to !== "object" || to === null) return;
  const parts = Object.entries(to);
  const sum = parts.reduce((total, [, part]) => total + (typeof part === "number" ? part : 0), 0);
  if (sum !== PERCENT_ALL) {
    report({
      code: "GL0119",
      path,
      says: `comes to ${sum} percent`,
      remedy: "Let the parts come to 100.",
    });
  }
  parts.forEach(([place], index) => {
    const earlier = parts.slice(0, index).find(([other]) => overlap(place, other));
    if (earlier === undefined) return;
    report({
      code: "GL0119",
      path: [...path, place],
      says: `has places in common with ${earlier[0]}`,
      remedy: "Let each place be within one of them.",
    });
  });
}

/** What is not written stands for all. */
function overlap(a: string, b: string): boolean {
  const [ours, theirs] = [a.split("/"), b.split("/")];
  const length = Math.min(ours.length, theirs.length);
  return ours
    .slice(0, length)
    .every((part, index) => part === theirs[index] || part === "*" || theirs[index] === "*");
}
