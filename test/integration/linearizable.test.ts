//! Clients write and watch beside kills of the server; what they saw is decided about by a checker
//! that knows nothing of the program (`test/support/history`).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import { openMemoryStore } from "../../src/controlplane/store/open-store.ts";
import {
  keyText,
  type ResourceStore,
  type WatchEvent,
} from "../../src/controlplane/store/store.ts";
import type { Resource } from "../../src/resources/object.ts";
import { Served, TOKEN } from "../../src/server/testing/served.ts";
import { temporaryDirectory } from "../support/graylane.ts";
import { Place } from "../support/history/api-calls.ts";
import { faultsOf } from "../support/history/check.ts";
import type { History } from "../support/history/history.ts";
import { Recorder } from "../support/history/recorder.ts";

/** The long form: 100 clients, 10,000 operations, 20 kills. */
const CLIENTS = Number(process.env["GRAYLANE_API_CLIENTS"] ?? "5");
const KILLS = Number(process.env["GRAYLANE_API_KILLS"] ?? "2");
const OPERATIONS = CLIENTS * 100;
const KEYS = Math.max(4, Math.ceil(CLIENTS / 5));
const SERVER = resolve("dist/src/server/testing/audited-server.js");
/** Bookmarks come after 3 s in place of 60. */
const HASTE = "20";

async function start(directory: string, place: Place): Promise<ChildProcess> {
  const child = spawn(process.execPath, [SERVER, directory, TOKEN, HASTE], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  place.started({ url: said.toString().trim(), token: TOKEN });
  return child;
}

test(`${CLIENTS} clients beside ${KILLS} kills see one order of all writes, and all of it`, async (t) => {
  const directory = temporaryDirectory();
  const place = new Place();
  let child = await start(directory, place);
  let restart: Promise<void> = Promise.resolve();
  let kills = 0;
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await once(child, "exit");
    child = await start(directory, place);
  };
  const onBegun = (count: number): void => {
    if (kills === KILLS || count < ((kills + 1) * OPERATIONS) / (KILLS + 1)) return;
    kills += 1;
    restart = restart.then(kill);
  };
  const prng = new SeededPrng(7);
  const recorder = new Recorder({
    ...{ place, prng, onBegun, patienceMs: 60_000 },
    ...{ clients: CLIENTS, keys: KEYS, operations: OPERATIONS },
  });
  try {
    const history = await recorder.run();
    await restart;
    const faults = faultsOf(history);
    t.diagnostic(summary(history));
    assert.equal(place.life, KILLS + 1);
    assert.deepEqual(faults.slice(0, 20), []);
  } finally {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
});

/** What a server with a fault would do: the checker has to notice each of them. */
const FAULTS: Readonly<Record<string, (store: ResourceStore) => ResourceStore>> = {
  "an acknowledged write is lost": (store) =>
    changed(store, {
      update: (resource, options) => store.update(resource, { ...options, dryRun: isThird() }),
    }),
  "a read is stale": (store) => {
    const before = new Map<string, Resource>();
    store.watch(null, null, ({ key, previous }) => {
      if (previous !== null) before.set(keyText(key), previous);
    });
    return changed(store, {
      get: (key) => (isThird() ? (before.get(keyText(key)) ?? store.get(key)) : store.get(key)),
    });
  },
  "a condition is not looked at": (store) =>
    changed(store, {
      update: (resource, options) => store.update(resource, isThird() ? {} : options),
    }),
  "an event is not told": (store) => changed(store, { watch: told(store, () => !isThird()) }),
  "an event is told twice": (store) =>
    changed(store, {
      watch: told(store, (event, listener) => {
        if (isThird()) listener(event);
        return true;
      }),
    }),
  "the events while a watcher was away are not told": (store) =>
    changed(store, {
      watch: (filter, _, listener) => store.watch(filter, null, listener),
    }),
};

let calls = 0;

function isThird(): boolean {
  calls += 1;
  return calls % 3 === 0;
}

function changed(store: ResourceStore, change: Partial<ResourceStore>): ResourceStore {
  return new Proxy(store, {
    get(target, name: keyof ResourceStore) {
      const member: unknown = Reflect.get(name in change ? change : target, name, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

type Listener = (event: WatchEvent) => void;

function told(
  store: ResourceStore,
  passes: (event: WatchEvent, listener: Listener) => boolean,
): ResourceStore["watch"] {
  return (filter, from, listener) =>
    store.watch(filter, from, (event) => {
      if (passes(event, listener)) listener(event);
    });
}

async function historyOf(
  fault: (store: ResourceStore) => ResourceStore,
  patienceMs: number,
): Promise<History> {
  const store = openMemoryStore({ clock: new FakeClock() });
  const served = await Served.start({ store: fault(store) });
  const place = new Place();
  place.started({ url: served.server.url, token: TOKEN });
  try {
    const prng = new SeededPrng(3);
    const options = { place, prng, clients: 4, keys: 2, operations: 160, patienceMs };
    return await new Recorder(options).run();
  } finally {
    await served.stop();
    await store.close();
  }
}

test("a history of a server without a fault is right, also without a disk", async () => {
  assert.deepEqual(faultsOf(await historyOf((store) => store, 60_000)), []);
});

for (const [name, fault] of Object.entries(FAULTS)) {
  test(`it is noticed that ${name}`, async (t) => {
    const faults = faultsOf(await historyOf(fault, 300));
    assert.notEqual(faults.length, 0);
    t.diagnostic(faults[0] ?? "");
  });
}

function summary({ operations, listings, watchers }: History): string {
  const count = new Map<string, number>();
  for (const kind of [
    ...operations.map(({ outcome }) => outcome.kind),
    ...watchers.flat().map((step) => step.kind),
  ]) {
    count.set(kind, (count.get(kind) ?? 0) + 1);
  }
  const kinds = [...count].map(([kind, of]) => `${of} ${kind}`).join(", ");
  return `${operations.length} operations, ${listings.length} lists: ${kinds}`;
}
