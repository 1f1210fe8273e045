//! Discovery: which groups, versions and kinds are served, as Kubernetes clients ask for it.

import type { ApiResourceList } from "../api/types.ts";
import { KINDS, type KindInfo } from "../resources/registry.ts";
import { REVIEWS } from "./access/reviews.ts";
import { TOKEN_REQUEST } from "./access/token-request.ts";
import { parameter, sendJson, type Call } from "./call.ts";
import { SCALE } from "./scale.ts";
import { notFound } from "./status.ts";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/** The Kubernetes release whose API conventions we follow; clients compare it with theirs. */
const KUBERNETES = { major: "1", minor: "34" };

export function version(call: Call): void {
  const gitVersion = `v1.34.0+graylane-${call.dependencies.runtimeStatus().version}`;
  sendJson(call, 200, { ...KUBERNETES, gitVersion, platform: process.platform });
}

export function coreVersions(call: Call): void {
  sendJson(call, 200, { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] });
}

export function groups(call: Call): void {
  const all = [...KINDS, ...REVIEWS].map((info) => info.group);
  const names = [...new Set(all)].filter((name) => name !== "");
  const list = { kind: "APIGroupList", apiVersion: "v1", groups: names.map(groupOf) };
  sendJson(call, 200, list);
}

export function group(call: Call): void {
  const name = parameter(call, "group");
  if (![...KINDS, ...REVIEWS].some((info) => info.group === name))
    throw notFound(`the group ${name}`);
  sendJson(call, 200, { kind: "APIGroup", apiVersion: "v1", ...groupOf(name) });
}

export function resources(call: Call): void {
  const groupName = parameter(call, "group");
  const versionName = parameter(call, "version");
  const groupVersion = groupName === "" ? versionName : `${groupName}/${versionName}`;
  const kinds = KINDS.filter(
    (info) => info.group === groupName && info.versions.includes(versionName),
  );
  const reviews = REVIEWS.filter(({ group }) => group === groupName && versionName === "v1");
  if (kinds.length + reviews.length === 0) throw notFound(`the group version ${groupVersion}`);
  const list: ApiResourceList = {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion,
    resources: [...kinds.flatMap(resourcesOf), ...reviews.map(reviewOf)],
  };
  sendJson(call, 200, list);
}

function groupOf(name: string): object {
  const kinds = KINDS.filter((info) => info.group === name);
  const names = kinds.length === 0 ? ["v1"] : kinds.flatMap((info) => info.versions);
  const versions = [...new Set(names)].map((each) => ({
    groupVersion: `${name}/${each}`,
    version: each,
  }));
  return { name, versions, preferredVersion: versions[0] };
}

function reviewOf({ plural, kind }: (typeof REVIEWS)[number]): ApiResourceList["resources"][0] {
  const singularName = plural.replace(/s$/, "");
  return { name: plural, singularName, namespaced: false, kind, verbs: ["create"] };
}

function resourcesOf(info: KindInfo): ApiResourceList["resources"] {
  const { plural, singular, namespaced, kind, shortNames } = info;
  const common = { singularName: singular, namespaced, kind };
  const verbs = ["get", "patch", "update"];
  const status = { name: `${plural}/status`, ...common, singularName: "", verbs };
  const own = { name: plural, ...common, verbs: VERBS, shortNames };
  const all = info.hasStatus ? [own, status] : [own];
  if (kind === "Namespace") {
    const one = VERBS.filter((verb) => verb !== "deletecollection");
    const finalize = { name: `${plural}/finalize`, ...common, singularName: "", verbs: ["update"] };
    return [{ ...own, verbs: one }, finalize, status];
  }
  if (kind === "Deployment") {
    const scale = { name: `${plural}/scale`, singularName: "", namespaced, ...SCALE };
    return [...all, { ...scale, verbs }];
  }
  if (kind === "ServiceAccount") {
    const token = { name: `${plural}/token`, singularName: "", namespaced, ...TOKEN_REQUEST };
    return [...all, { ...token, verbs: ["create"] }];
  }
  if (plural !== "pods") return all;
  return [...all, { name: "pods/log", ...common, singularName: "", verbs: ["get"] }];
}
