//! Which pod has an address: made when a rule first asks who calls.

import type { Snapshot } from "../../snapshot/snapshot.ts";

export interface KnownPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Addresses that many share, so that they name nobody. */
const SHARED_ADDRESSES: ReadonlySet<string> = new Set(["127.0.0.1", "::1", ""]);

export class KnownPods {
  readonly #snapshot: Pick<Snapshot, "workloads" | "endpoints">;
  /** Null: several pods have the address. */
  #byAddress: Map<string, KnownPod | null> | null = null;

  constructor(snapshot: Pick<Snapshot, "workloads" | "endpoints">) {
    this.#snapshot = snapshot;
  }

  find(address: string): KnownPod | null {
    this.#byAddress ??= this.#index();
    const plain = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
    return this.#byAddress.get(plain) ?? null;
  }

  #index(): Map<string, KnownPod | null> {
    const byAddress = new Map<string, KnownPod | null>();
    const add = (address: string, pod: KnownPod): void => {
      if (SHARED_ADDRESSES.has(address)) return;
      const other = byAddress.get(address);
      const isSame = other?.name === pod.name && other.namespace === pod.namespace;
      byAddress.set(address, other === undefined || isSame ? pod : null);
    };
    const { workloads, endpoints } = this.#snapshot;
    for (const { address, namespace, name, labels } of Object.values(workloads)) {
      add(address, { namespace, name, labels });
    }
    for (const set of Object.values(endpoints)) {
      for (const { address, pod, labels } of set.endpoints) {
        const slash = pod.indexOf("/");
        if (slash === -1) continue;
        add(address, { namespace: pod.slice(0, slash), name: pod.slice(slash + 1), labels });
      }
    }
    return byAddress;
  }
}
