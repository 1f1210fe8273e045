//! Finds objects by a label selector without walking all of them: 20,000 pods and as many Services
//! as there may be would else be compared pair by pair on every change.

import { hasLabels } from "./membership.ts";

type Labels = Readonly<Record<string, string>>;

export interface Labelled {
  readonly namespace: string;
  readonly labels: Labels;
}

export class LabelIndex<T> {
  readonly #read: (item: T) => Labelled;
  /** By namespace, label key and value; each list in the order of the items. */
  readonly #byPair = new Map<string, T[]>();

  constructor(items: readonly T[], read: (item: T) => Labelled) {
    this.#read = read;
    for (const item of items) {
      const { namespace, labels } = read(item);
      for (const [key, value] of Object.entries(labels)) {
        const pair = pairKey(namespace, key, value);
        const list = this.#byPair.get(pair);
        if (list === undefined) this.#byPair.set(pair, [item]);
        else list.push(item);
      }
    }
  }

  /** Those of the namespace that carry all the labels. An empty selector selects nothing. */
  select(namespace: string, selector: Labels): readonly T[] {
    let rarest: readonly T[] | null = null;
    for (const [key, value] of Object.entries(selector)) {
      const list = this.#byPair.get(pairKey(namespace, key, value)) ?? [];
      if (rarest === null || list.length < rarest.length) rarest = list;
    }
    return (rarest ?? []).filter((item) => hasLabels(this.#read(item), selector));
  }
}

function pairKey(namespace: string, key: string, value: string): string {
  return `${namespace}\u0000${key}\u0000${value}`;
}
