//! Every property that Envoy gives plug-ins, in every phase, over connections with and without TLS,
//! and however an exchange ends: the probe asks real Envoy and us (by name, and by
//! expressions), and the answers are compared.
//!
//! Times, ports and sizes differ from proxy to proxy: of those the form, the bounds and the phases
//! in which they are there are compared, and of sizes that they add up.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { send, startEnvoyHost, startOurHost } from "../support/conformance.ts";
import type { Host } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { KnownDifferences } from "../support/known-differences.ts";
import { builtProbe } from "../support/probe.ts";
import {
  clientOptions,
  envoyChange,
  ourChange,
  startUpstream,
  WORLDS,
} from "../support/property-hosts.ts";
import type { World } from "../support/property-hosts.ts";
import { FORMS, PROPERTIES, PROPERTY_CASES, sizeFaults } from "./probe/property-cases.ts";
import type { PropertyCase } from "./probe/property-cases.ts";

const LINES_MS_MAX = 30_000;
/** Fewer would mean that cases have been lost. */
const LINES_COMPARED_MIN = 25_000;

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;
const known = new KnownDifferences("Properties");
let comparedCount = 0;

interface Pair {
  readonly envoy: Host;
  readonly ours: Host;
  readonly upstreamPort: number;
}
const pairs = new Map<World, Pair>();
const endings: (() => unknown)[] = [endAll];

before(async () => {
  if (binary.kind === "missing") return;
  const plugin = { path: await builtProbe(), configuration: "tick nothing" };
  await Promise.all(
    WORLDS.map(async (world) => {
      const upstream = await startUpstream(world);
      endings.push(() => {
        upstream.stop();
      });
      const ports = { echo: upstream.port, grpc: upstream.port, dead: await freePort() };
      const ours = await startOurHost(plugin, ports, ourChange(world));
      endings.unshift(() => ours.stop());
      const envoy = await startEnvoyHost(plugin, ports, binary.path, envoyChange(world));
      endings.unshift(() => envoy.stop());
      pairs.set(world, { ours, envoy, upstreamPort: upstream.port });
    }),
  );
});

after(async () => {
  for (const end of endings) await end();
});

for (const world of WORLDS) {
  for (const probe of PROPERTY_CASES.filter(({ worlds }) => worlds.includes(world.name))) {
    const name = `plug-ins read the same in Envoy and here: ${probe.name}, ${world.name}`;
    test(name, { skip }, async () => {
      const pair = pairs.get(world);
      assert.ok(pair !== undefined);
      const wanted = await observe(pair.envoy, world, probe);
      const got = await observe(pair.ours, world, probe);
      assert.ok(wanted.size >= PROPERTIES.length, `Envoy gave ${wanted.size} lines only`);
      assert.deepEqual([...sizeFaults(wanted), ...sizeFaults(got)], []);
      assert.deepEqual(differences(wanted, got, [pair.envoy, pair.ours]), []);
      comparedCount += wanted.size;
    });
  }
}

test("every documented difference of properties is one", { skip }, (context) => {
  context.diagnostic(`${comparedCount} lines compared`);
  assert.ok(comparedCount >= LINES_COMPARED_MIN, `only ${comparedCount} lines were compared`);
  assert.deepEqual(known.unused, []);
});

/** What each property was in each phase: by `case phase call`, `status value`. */
async function observe(
  host: Host,
  world: World,
  probe: PropertyCase,
): Promise<ReadonlyMap<string, string>> {
  const name = `${world.name}-${probe.name}`;
  const asked = PROPERTIES.map((path) => `* get_property s:${path.replaceAll(".", "%00")} v`);
  const sizes = ["* get_header_map_size 0 n", "* get_header_map_size 2 n"];
  const expressions = PROPERTIES.map((path) => `* cel ${expressionOf(path)}`);
  const script = [...asked, ...expressions, ...sizes, ...(probe.script ?? [])];
  const request = { ...probe, name, script };
  await send(host.port, request, probe.replyMsMax, clientOptions(world));
  const endMs = systemClock.monotonicMs() + LINES_MS_MAX;
  const last = `${name} delete ${sizes.at(-1)?.slice(2) ?? ""} = `;
  const own = (): string[] => host.lines().filter((line) => line.startsWith(`${name} `));
  while (!own().some((line) => line.startsWith(last)) && systemClock.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
  }
  const results = new Map<string, string>();
  for (const line of own()) {
    const [, key = "", result = ""] =
      /^(\S+ \w+ (?:get_\S+|cel) \S+)(?: [vn])* = (.*)$/.exec(line) ?? [];
    if (key !== "") results.set(key.replaceAll("%00", "."), result);
  }
  return results;
}

/** What is read of a map that has no such key is a fault; a name has no hyphens. */
function expressionOf(path: string): string {
  return path.replace(/\.([^.]*-[^.]*)$/, "['$1']");
}

function differences(
  wanted: ReadonlyMap<string, string>,
  got: ReadonlyMap<string, string>,
  hosts: readonly Host[],
): string[] {
  const faults: string[] = [];
  for (const key of new Set([...wanted.keys(), ...got.keys()])) {
    if (key.includes("get_header_map_size")) continue;
    const left = `${key} = ${formOf(key, wanted.get(key) ?? "nothing", hosts)}`;
    const right = `${key} = ${formOf(key, got.get(key) ?? "nothing", hosts)}`;
    if (left === right || known.allows(left, right)) continue;
    faults.push(`Envoy: ${left} | here: ${right}`);
  }
  return faults;
}

/** The name of its form in the place of a value that has it, where values cannot be the same. */
function formOf(key: string, result: string, hosts: readonly Host[]): string {
  const property = / (?:s:|cel )(\S+)$/.exec(key)?.[1] ?? "";
  const form = FORMS[property];
  if (form === undefined || !result.startsWith("0 ")) return result;
  const value = hosts.reduce((text, { port }) => text.replace(`:${port}"`, ':OWN"'), result);
  return form.test(value.slice(2)) ? `0 <${property}>` : result;
}
