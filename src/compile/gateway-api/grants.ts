//! ReferenceGrants: which references into another namespace are allowed.

import type { ReferenceGrant } from "../../resources/kinds/reference-grant.ts";
import { namespaceOf } from "../resource-index.ts";

export interface Referrer {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
}

export interface Referent extends Referrer {
  readonly name: string;
}

export class Grants {
  readonly #byNamespace = new Map<string, ReferenceGrant[]>();

  constructor(resources: readonly ReferenceGrant[]) {
    for (const grant of resources) {
      const namespace = namespaceOf(grant);
      const list = this.#byNamespace.get(namespace);
      if (list === undefined) this.#byNamespace.set(namespace, [grant]);
      else list.push(grant);
    }
  }

  /** Within a namespace always; into another when a grant there says so. */
  permits(from: Referrer, to: Referent): boolean {
    if (from.namespace === to.namespace) return true;
    return (this.#byNamespace.get(to.namespace) ?? []).some(
      ({ spec }) =>
        spec.from.some((one) => isSame(one, from) && one.namespace === from.namespace) &&
        spec.to.some((one) => isSame(one, to) && (one.name === undefined || one.name === to.name)),
    );
  }
}

function isSame(
  a: { readonly group: string; readonly kind: string },
  b: { readonly group: string; readonly kind: string },
): boolean {
  return a.group === b.group && a.kind === b.kind;
}
