//! How users name kinds and objects, and how we print the names: `deployment.apps/mocka-v1`.

import type { ApiKind } from "../api/types.ts";
import type { Resource } from "../resources/object.ts";
import { KINDS, kindByApiVersion, kindByName, splitApiVersion } from "../resources/registry.ts";
import type { KindInfo } from "../resources/registry.ts";
import { CliError, usageError } from "./cli-error.ts";

/** What `get`, `describe` and `delete` are asked about. */
export interface Selection {
  readonly info: KindInfo;
  /** Empty: all of the kind. */
  readonly names: readonly string[];
}

/** kubectl's forms: `KIND`, `KIND NAME…`, `KIND,KIND`, `KIND/NAME KIND/NAME…`. */
export function parseSelections(words: readonly string[]): Selection[] {
  const [first, ...rest] = words;
  if (first === undefined) {
    throw usageError("no kind is named", `The kinds are: ${kindNames().join(", ")}.`);
  }
  if (!first.includes("/")) {
    const selections = first.split(",").map((word) => ({ info: findKind(word), names: rest }));
    if (selections.length > 1 && rest.length > 0) {
      throw usageError("names cannot be given with several kinds", "Write KIND/NAME for each.");
    }
    return selections;
  }
  return words.map((word) => {
    const [kind, name, ...more] = word.split("/");
    if (kind === undefined || name === undefined || name === "" || more.length > 0) {
      throw usageError(`${word}: not KIND/NAME`, "Do not mix KIND/NAME with single words.");
    }
    return { info: findKind(kind), names: [name] };
  });
}

export function findKind(word: string): KindInfo {
  const info = kindByName(word);
  if (info !== undefined) return info;
  throw new CliError(
    `the server doesn't have a resource type "${word}"`,
    `The kinds are: ${kindNames().join(", ")}.`,
  );
}

export function kindNames(): string[] {
  return KINDS.map(({ plural }) => plural).sort();
}

/** The kind's path in the API, at a version or at its preferred one. */
export function apiKindOf(info: KindInfo, version?: string): ApiKind {
  const { group, plural, namespaced } = info;
  return { group, version: version ?? info.versions[0] ?? "v1", plural, namespaced };
}

/** The kind of an object from a file that has been validated, at the version that it names. */
export function kindOfResource(resource: Resource): { info: KindInfo; apiKind: ApiKind } {
  const info = kindByApiVersion(resource.apiVersion, resource.kind);
  if (info === undefined) {
    throw new CliError(`${resource.apiVersion} ${resource.kind}: this kind is not known here`);
  }
  return { info, apiKind: apiKindOf(info, splitApiVersion(resource.apiVersion).version) };
}

/** `virtualservice.networking.istio.io/swimlane-ingress-vs`, `service/mocka`. */
export function qualifiedName(info: KindInfo, name: string): string {
  return `${qualifiedKind(info)}/${name}`;
}

export function qualifiedKind(info: KindInfo): string {
  return info.group === "" ? info.singular : `${info.singular}.${info.group}`;
}

/** The namespace that an object of this kind is looked up in; `""` when it is cluster-scoped. */
export function namespaceFor(info: KindInfo, namespace: string): string {
  return info.namespaced ? namespace : "";
}
