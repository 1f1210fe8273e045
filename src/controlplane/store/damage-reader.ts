//! For the damage test: opens the stores that it is told of, one after the other, and says what
//! each serves. A process of its own, since a damaged file may end it.

import { systemClock } from "../../base/clock.ts";
import { DamagedFileError } from "./lmdb-file.ts";
import { openStore } from "./open-store.ts";
import { configMap, configMapKey } from "./store-cases.ts";
import type { ResourceStore } from "./store.ts";

export interface DamageOrder {
  readonly directory: string;
  /** What was written: values by name. */
  readonly values: Readonly<Record<string, string>>;
}

export interface DamageReport {
  /** In words, when the store was not opened. */
  readonly refused: string;
  /** Names with another value than the one that was written last. */
  readonly wrong: readonly string[];
  readonly missing: readonly string[];
  readonly damaged: number;
}

process.on("message", (order: DamageOrder) => {
  void look(order).then((report) => process.send?.(report));
});

/** Twice, with a write in between: LMDB gives pages away that it takes for free. */
async function look({ directory, values }: DamageOrder): Promise<DamageReport> {
  try {
    const first = openStore({ directory, clock: systemClock });
    const before = served(first, values);
    await first.create(configMap("late", "x".repeat(9_000)));
    await first.close();
    const second = openStore({ directory, clock: systemClock });
    const after = served(second, values);
    await second.close();
    return { ...after, wrong: [...before.wrong, ...after.wrong] };
  } catch (error) {
    if (!(error instanceof DamagedFileError)) throw error;
    return { refused: error.message, wrong: [], missing: [], damaged: 0 };
  }
}

function served(store: ResourceStore, values: DamageOrder["values"]): DamageReport {
  const wrong: string[] = [];
  const missing: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    const object = store.get(configMapKey(name)) as { data?: { value?: string } } | undefined;
    if (object === undefined) missing.push(name);
    else if (object.data?.value !== value) wrong.push(name);
  }
  return { refused: "", wrong, missing, damaged: store.damaged().length };
}
