//! Plug-ins on a stream of either protocol: when they go, and what follows when one is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TYPE_URLS, byType } from "../../compile-envoy/envoy-config.ts";
import type { EnvoyResource, ResourceType } from "../../compile-envoy/envoy-config.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { AdsSession } from "./ads-session.ts";
import type { AdsResponse, Stage, XdsMode } from "./ads-session.ts";
import { ModuleWaits } from "./module-waits.ts";

const MODES = ["delta", "sotw"] as const;

/** An Envoy that is told what to answer. */
class ModeEnvoy {
  readonly inbox: AdsResponse[] = [];
  readonly #mode: XdsMode;
  readonly session: AdsSession;
  readonly #names: Record<ResourceType, readonly string[]> = byType(() => []);

  constructor(mode: XdsMode, clock: FakeClock | null = null) {
    this.#mode = mode;
    const waits = clock === null ? null : new ModuleWaits(clock, { watch: () => () => undefined });
    const send = (response: AdsResponse): number => this.inbox.push(response);
    this.session = new AdsSession(send, mode, () => 0, waits);
  }

  ask(type: ResourceType, names: readonly string[] = []): void {
    this.#names[type] = names;
    this.#send(type, names, "", null);
  }

  /** Takes the oldest message; returns what it was. */
  take(error: string | null = null): string {
    const message = this.inbox.shift();
    assert.ok(message !== undefined, "nothing was sent");
    const { type, nonce } = message;
    this.#send(type, this.#mode === "sotw" ? this.#names[type] : [], nonce, error);
    return summary(message);
  }

  #send(type: ResourceType, subscribe: readonly string[], nonce: string, error: string | null) {
    const none = { unsubscribe: [], initialVersions: new Map() };
    this.session.onRequest({ typeUrl: TYPE_URLS[type], subscribe, nonce, error, ...none });
  }
}

function summary({ type, resources, removed }: AdsResponse): string {
  const news = resources.map(({ name, json }) => `${name}@${JSON.stringify(json["revision"])}`);
  return [`${type}:`, ...news, ...removed.map((name) => `-${name}`)].join(" ");
}

type Revisions = Readonly<Record<string, number>>;

function stage(types: Partial<Readonly<Record<ResourceType, Revisions>>>): Stage {
  const of = (type: ResourceType): Record<string, EnvoyResource> =>
    Object.fromEntries(
      Object.entries(types[type] ?? {}).map(([name, revision]) => {
        const source = { kind: type, namespace: "default", name };
        const json = { name, revision };
        const needs = type === "listeners" ? Object.keys(types.extensions ?? {}) : [];
        const made = { name, json, parts: [{ source, json }], needs };
        const standIn = { ...made, json: { name, revision: 0 } };
        return [name, type === "extensions" ? { ...made, standIn } : made];
      }),
    );
  return { version: "v", resources: byType(of) };
}

const NOTHING_ELSE = { clusters: { a: 1 } };

/** With one plug-in, `p`. */
async function synced(mode: XdsMode, clock: FakeClock | null = null): Promise<ModeEnvoy> {
  const envoy = new ModeEnvoy(mode, clock);
  const first = { ...NOTHING_ELSE, extensions: { p: 1 }, listeners: { entry: 1 } };
  let isSettled = false;
  const settled = envoy.session.bring([stage(first)]).then(() => {
    isSettled = true;
  });
  envoy.ask("clusters");
  envoy.take();
  envoy.ask("listeners");
  assert.equal(envoy.take(), "listeners: entry@1");
  await Promise.resolve();
  assert.ok(!isSettled, "the listener waits for its plug-in");
  envoy.ask("extensions", ["p"]);
  assert.equal(envoy.take(), "extensions: p@1");
  await settled;
  assert.equal(envoy.session.status().extensions, "SYNCED");
  return envoy;
}

for (const mode of MODES) {
  test(`${mode}: a plug-in goes alone, and before a listener that changes with it`, async () => {
    const envoy = await synced(mode);
    const next = { ...NOTHING_ELSE, extensions: { p: 2 } };
    const settled = envoy.session.bring([stage({ ...next, listeners: { entry: 1 } })]);
    assert.equal(envoy.take(), "extensions: p@2");
    await settled;
    assert.deepEqual(envoy.inbox, []);
    const both = { ...NOTHING_ELSE, extensions: { p: 3 }, listeners: { entry: 2 } };
    const again = envoy.session.bring([stage(both)]);
    assert.deepEqual(envoy.inbox.map(summary), ["extensions: p@3"]);
    envoy.take();
    assert.equal(envoy.take(), "listeners: entry@2");
    await again;
  });

  test(`${mode}: after a refusal the last good one goes again, then all else`, async () => {
    const envoy = await synced(mode);
    const bad = { ...NOTHING_ELSE, extensions: { p: 2 }, listeners: { entry: 2 } };
    const settled = envoy.session.bring([stage(bad)]);
    assert.equal(envoy.take("Unable to create Wasm plugin"), "extensions: p@2");
    assert.equal(envoy.take(), "extensions: p@1");
    assert.equal(envoy.take(), "listeners: entry@2");
    await settled;
    assert.equal(envoy.session.status().extensions, "STALE");
    const [refused] = envoy.session.refused();
    assert.equal(`${refused?.name}: ${refused?.error}`, "p: Unable to create Wasm plugin");
    const [dumped] = envoy.session.dump().extensions;
    assert.deepEqual([dumped?.json?.["revision"], dumped?.status], [1, "NACKED"]);

    const mended = envoy.session.bring([stage({ ...bad, extensions: { p: 3 } })]);
    assert.equal(envoy.take(), "extensions: p@3");
    await mended;
    assert.deepEqual(envoy.session.refused(), []);
    assert.deepEqual(envoy.inbox, []);
  });

  test(`${mode}: in place of one that was never taken goes its stand-in, once`, async () => {
    const envoy = await synced(mode);
    const more = { ...NOTHING_ELSE, extensions: { p: 1, q: 1 }, listeners: { entry: 2 } };
    const settled = envoy.session.bring([stage(more)]);
    assert.equal(envoy.take(), "listeners: entry@2");
    envoy.ask("extensions", ["p", "q"]);
    while (envoy.inbox[0]?.resources[0]?.name === "p") envoy.take();
    assert.equal(envoy.take("no"), "extensions: q@1");
    assert.equal(envoy.take("no, not that either"), "extensions: q@0");
    await settled;
    assert.deepEqual(envoy.inbox, []);
    assert.deepEqual(
      envoy.session.refused().map(({ error }) => error),
      ["no"],
    );
  });

  test(`${mode}: a plug-in that is wanted no more stays for connections that end`, async () => {
    const envoy = await synced(mode);
    const settled = envoy.session.bring([stage({ ...NOTHING_ELSE, listeners: { entry: 2 } })]);
    assert.equal(envoy.take(), "listeners: entry@2");
    await settled;
    assert.deepEqual(envoy.inbox, []);
    assert.equal(envoy.session.status().extensions, undefined);
  });

  test(`${mode}: a plug-in without its module yet is tried again, and no refusal`, async () => {
    const clock = new FakeClock();
    const envoy = await synced(mode, clock);
    const next = stage({ ...NOTHING_ELSE, extensions: { p: 2 }, listeners: { entry: 2 } });
    const fetches = [{ path: "/m", sha256: "aa" }];
    const plugin = next.resources.extensions["p"];
    assert.ok(plugin !== undefined);
    const extensions = { p: { ...plugin, fetches } };
    const settled = envoy.session.bring([
      { ...next, resources: { ...next.resources, extensions } },
    ]);
    assert.equal(envoy.take("Unable to create Wasm plugin p"), "extensions: p@2");
    assert.deepEqual(envoy.inbox, [], "listeners wait for it");
    assert.deepEqual(envoy.session.refused(), []);
    assert.equal(envoy.session.status().extensions, "STALE");
    clock.advance(500);
    assert.equal(envoy.take(), "extensions: p@2");
    assert.equal(envoy.take(), "listeners: entry@2");
    await settled;
    assert.equal(envoy.session.status().extensions, "SYNCED");
  });
}
