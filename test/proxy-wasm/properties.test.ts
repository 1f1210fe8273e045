//! Every property that Envoy gives plug-ins, in every phase, over connections with and without TLS,
//! and however an exchange ends: the probe asks real Envoy and us (by name, and by
//! expressions), and the answers are compared.
//!
//! Times, ports and sizes differ from proxy to proxy: of those the form, the bounds and the phases
//! in which they are there are compared, and of sizes that they add up.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { LiveFacts } from "../../src/dataplane/exchange/live-facts.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import {
  CLUSTER,
  REPLY_MS_MAX,
  send,
  startEnvoyHost,
  startOurHost,
} from "../support/conformance.ts";
import type { Host } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { guest } from "../support/guest.ts";
import { KnownDifferences } from "../support/known-differences.ts";
import { builtProbe } from "../support/probe.ts";
import { sendHttp2 } from "../support/send-http2.ts";
import {
  clientOptions,
  envoyChange,
  ourChange,
  startUpstream,
  WORLDS,
} from "../support/property-hosts.ts";
import type { World } from "../support/property-hosts.ts";
import { fieldBytes, percent } from "./probe/case-parts.ts";
import {
  FORMS,
  ROOT_PROPERTIES,
  METADATA_PROPERTY_PARTS,
  PROPERTY_CASES,
  PROPERTY_PARTS,
  sizeFaults,
} from "./probe/property-cases.ts";
import type { PropertyCase } from "./probe/property-cases.ts";

/** The probe is told at run time what to read: what costs something is named here. */
const NAMED = "tick response.backend_latency connection.subject_local_certificate";
const LINES_MS_MAX = 30_000;
/** Until a plug-in gives up its own call, and lets the request go on. */
const HELD_MS = 200;
/** Fewer would mean that cases have been lost. */
const LINES_COMPARED_MIN = 50_000;

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
  const plugin = { path: await builtProbe(), configuration: NAMED };
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
      const { size } = wanted.results;
      assert.ok(size >= PROPERTY_PARTS.flat().length, `Envoy gave ${size} lines only`);
      assert.deepEqual([...wanted.sizeFaults, ...got.sizeFaults], []);
      const hosts = [pair.envoy, pair.ours];
      assert.deepEqual(differences(wanted.results, got.results, hosts), []);
      comparedCount += size;
    });
  }
}

test("every documented difference of properties is one", { skip }, (context) => {
  context.diagnostic(`${comparedCount} lines compared`);
  assert.ok(comparedCount >= LINES_COMPARED_MIN, `only ${comparedCount} lines were compared`);
  assert.deepEqual(known.unused, []);
});

test("without an exchange plug-ins read the same in Envoy and here", { skip }, async () => {
  assert.ok(binary.kind === "found");
  const asked = ROOT_PROPERTIES.flatMap((path) => [
    `get_property s:${path.replaceAll(".", "%00")} v`,
    `cel ${path}`,
  ]);
  const phases = ["configure", "tick"];
  const script = phases.flatMap((phase) => asked.map((line) => `${phase} ${line}`));
  const configuration = ["configure set_tick_period_milliseconds 100", ...script].join(";");
  const plugin = { path: await builtProbe(), configuration };
  const ports = { echo: 1, grpc: 1, dead: 1 };
  const ours = await startOurHost(plugin, ports);
  endings.unshift(() => ours.stop());
  const envoy = await startEnvoyHost(plugin, ports, binary.path);
  endings.unshift(() => envoy.stop());
  const last = `start tick ${asked.at(-1) ?? ""} = `;
  const seen: string[][] = [];
  for (const host of [envoy, ours]) {
    await until(() => host.lines().some((line) => line.startsWith(last)));
    // Envoy has several VMs, and both tick more than once.
    seen.push([...new Set(host.lines())].filter((line) => line.includes(" = ")));
  }
  const [wanted, got] = seen;
  assert.deepEqual(got, wanted);
  assert.equal(got?.includes('start tick get_property s:xds%00node%00id v = 0 "node-1"'), true);
});

/** Logs the digit of `response.grpc_status` at the end, and has no other callback. */
const LOGGER = {
  imports: `
    (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
  body: `
    (data (i32.const 1024) "response\\00grpc_status")
    (func (export "proxy_on_log") (param i32)
      (drop (call $get (i32.const 1024) (i32.const 20) (i32.const 2048) (i32.const 2052)))
      (i32.store8 (i32.const 3000)
        (i32.add (i32.const 48) (i32.load8_u (i32.load (i32.const 2048)))))
      (drop (call $log (i32.const 2) (i32.const 3000) (i32.const 1))))`,
};

test("a plug-in that reads no body sees in its log what trailers say", { skip }, async () => {
  assert.ok(binary.kind === "found");
  const folder = mkdtempSync(join(tmpdir(), "graylane-logger-"));
  endings.push(() => {
    rmSync(folder, { recursive: true });
  });
  const plugin = { path: join(folder, "logger.wasm"), configuration: "" };
  writeFileSync(plugin.path, guest(LOGGER));
  const [world] = WORLDS;
  assert.ok(world !== undefined);
  const port = pairs.get(world)?.upstreamPort ?? 0;
  const ports = { echo: port, grpc: port, dead: port };
  const ours = await startOurHost(plugin, ports, ourChange(world));
  endings.unshift(() => ours.stop());
  const envoy = await startEnvoyHost(plugin, ports, binary.path, envoyChange(world));
  endings.unshift(() => envoy.stop());
  for (const host of [envoy, ours]) {
    await send(host.port, { name: "logged", path: "/echo/trailers", script: [] });
    await until(() => host.lines().length > 0);
    assert.deepEqual(host.lines(), ["5"]);
  }
});

test("streams of a connection of HTTP/2 share what is stored for it", { skip }, async () => {
  const { envoy, ours } = pairOf("http2");
  const name = "shared";
  const path = "filter_state%00envoy.string";
  const input = "%0a%0cenvoy.string%12%05first%18%02";
  const script = [
    `rh get_property s:${path} v`,
    `sh call_foreign_function s:set_envoy_filter_state s:${input} v`,
    `log get_property s:${path} v`,
    `* get_property s:connection%00id v`,
  ];
  const seen: string[][] = [];
  for (const host of [envoy, ours]) {
    const probe = { name, path: "/echo", script, later: [{ script }] };
    await sendHttp2(host.port, probe, { replyMsMax: REPLY_MS_MAX, isCut: false });
    const own = (): string[] => host.lines().filter((line) => line.startsWith(`${name} `));
    await until(() => own().filter((line) => line.startsWith(`${name} delete`)).length >= 4);
    const ids = own().flatMap((line) => / s:connection%00id v = 0 (.*)/.exec(line)?.[1] ?? []);
    assert.ok(ids.length > 1 && new Set(ids).size === 1, String(new Set(ids).size));
    seen.push(own().filter((line) => line.includes("envoy.string")));
  }
  const [wanted, got] = seen;
  assert.deepEqual(got, wanted);
  const read = `${name} rh get_property s:${path} v`;
  const reads = got?.filter((line) => line.startsWith(read));
  assert.deepEqual(reads, [`${read} = 1`, `${read} = 0 "first"`]);
});

const SERVER_NAME = "envoy.network.upstream_server_name";
const NAMES = "envoy.network.upstream_subject_alt_names";
/** The endpoint's certificate is for a.test, which is also its configured server name. */
const TLS_WISHES: readonly (readonly [name: string, wishes: readonly string[][], says: RegExp])[] =
  [
    ["none", [], /^HTTP\/1.1 200[^]*\na.test$/],
    ["server-name", [[SERVER_NAME, "b.test"]], /^HTTP\/1.1 200[^]*\nb.test$/],
    ["empty-name", [[SERVER_NAME, ""]], /^HTTP\/1.1 200[^]*\na.test$/],
    ["empty-list", [[NAMES, ""]], /^HTTP\/1.1 503/],
    ["other-certificate", [[NAMES, "b.test,c.test"]], /^HTTP\/1.1 503/],
    [
      "one-of-them",
      [
        [SERVER_NAME, "c.test"],
        [NAMES, "b.test,a.test"],
      ],
      /200[^]*\nc.test$/,
    ],
    ["later", [], /^HTTP\/1.1 200[^]*\na.test$/],
  ];

for (const [name, wishes, says] of TLS_WISHES) {
  test(`a plug-in's wish for TLS is followed: ${name}`, { skip }, async () => {
    const { envoy, ours } = pairOf("tls");
    const [, world] = WORLDS;
    assert.ok(world?.name === "tls");
    const script = wishes.map(([path = "", value = ""]) => {
      const parts = [fieldBytes(1, Buffer.from(path)), fieldBytes(2, Buffer.from(value))];
      const input = percent(Buffer.concat(parts));
      return `rh call_foreign_function s:set_envoy_filter_state s:${input} v`;
    });
    const probe = { name, path: "/echo/server-name", script };
    for (const { port } of [envoy, ours]) {
      assert.match(await send(port, probe, REPLY_MS_MAX, clientOptions(world)), says);
    }
  });
}

test("an endpoint's time begins when the request is sent on to it", { skip }, async () => {
  // Of a worker in which nobody has asked before; it is the name in the configuration that counts.
  LiveFacts.isLatencyAsked = false;
  const { envoy, ours } = pairOf("clear");
  const name = "held";
  const fields = "p::method=GET&:path=/silent&:authority=echo";
  const script = [
    `rh http_call s:${CLUSTER} ${fields} s: p: ${HELD_MS} t`,
    "rh return 1",
    "call set_effective_context $s",
    "call continue_stream 0",
    "log get_property s:response%00backend_latency v",
    "log get_property s:request%00duration v",
  ];
  for (const host of [envoy, ours]) {
    await send(host.port, { name, path: "/echo", script });
    const time = (property: string): number => {
      const wanted = ` s:${property} v = 0 0x`;
      const line = host.lines().find((each) => each.startsWith(name) && each.includes(wanted));
      const hex = line?.slice(line.indexOf(wanted) + wanted.length) ?? "";
      return Number(Buffer.from(hex, "hex").readBigInt64LE()) / 1e6;
    };
    await until(() => host.lines().includes(`${name} delete`));
    const heldMs = time("request%00duration") - time("response%00backend_latency");
    // Timers of a system may be a little early.
    assert.ok(heldMs > HELD_MS - 5, `${heldMs} ms`);
  }
});

function pairOf(name: string): Pair {
  const pair = [...pairs].find(([world]) => world.name === name)?.[1];
  assert.ok(pair !== undefined, name);
  return pair;
}

async function until(isTrue: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + LINES_MS_MAX;
  while (!isTrue() && systemClock.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
  }
}

interface Observed {
  /** What each property was in each phase: by `case phase call`, `status value`. */
  readonly results: Map<string, string>;
  readonly sizeFaults: readonly string[];
}

/** In as many requests as there are parts: a callback may not take long. */
async function observe(host: Host, world: World, probe: PropertyCase): Promise<Observed> {
  const all = new Map<string, string>();
  const faults: string[] = [];
  const parts = [
    ...PROPERTY_PARTS,
    ...(probe.readsMetadata === true ? METADATA_PROPERTY_PARTS : []),
  ];
  for (const [index, properties] of parts.entries()) {
    const results = await observePart(host, world, { probe, index, properties });
    faults.push(...sizeFaults(results));
    for (const [key, result] of results) all.set(key, result);
  }
  return { results: all, sizeFaults: faults };
}

interface Part {
  readonly probe: PropertyCase;
  readonly index: number;
  readonly properties: readonly string[];
}

async function observePart(
  host: Host,
  world: World,
  { probe, index, properties }: Part,
): Promise<Map<string, string>> {
  const caseName = `${world.name}-${probe.name}`;
  const name = `${caseName}/${index}`;
  const { phase = "*" } = probe;
  const asked = properties.map(
    (path) => `${phase} get_property s:${path.replaceAll(".", "%00")} v`,
  );
  const sizes = ["* get_header_map_size 0 n", "* get_header_map_size 2 n"];
  const expressions = properties.map((path) => `${phase} cel ${expressionOf(path)}`);
  const script = [...asked, ...expressions, ...sizes, ...(probe.script ?? [])];
  const request = { ...probe, name, script };
  const replyMsMax = probe.replyMsMax ?? REPLY_MS_MAX;
  if (world.isHttp2 === true)
    await sendHttp2(host.port, request, { replyMsMax, isCut: probe.isCut === true });
  else await send(host.port, request, replyMsMax, clientOptions(world));
  const last = `${name} delete ${sizes.at(-1)?.slice(2) ?? ""} = `;
  const own = (): string[] => host.lines().filter((line) => line.startsWith(`${name} `));
  await until(() => own().some((line) => line.startsWith(last)));
  const results = new Map<string, string>();
  for (const line of own()) {
    const [, key = "", result = ""] =
      /^\S+ (\w+ (?:get_\S+|cel) \S+)(?: [vn])* = (.*)$/.exec(line) ?? [];
    if (key !== "") results.set(`${caseName} ${key.replaceAll("%00", ".")}`, result);
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

/** Of maps with more than one field. */
const IN_ANY_ORDER =
  /(cel response\.trailers|virtual_host_metadata(\.(typed_)?filter_metadata(\.space)?)?)$/;

/** The name of its form in the place of a value that has it, where values cannot be the same. */
function formOf(key: string, result: string, hosts: readonly Host[]): string {
  const property = / (?:s:|cel )(\S+)$/.exec(key)?.[1] ?? "";
  // Envoy gives the fields of a map in any order: their bytes are compared sorted.
  if (IN_ANY_ORDER.test(key)) return (result.match(/../g) ?? []).sort().join("");
  const form = FORMS[property];
  if (form === undefined || !result.startsWith("0 ")) return result;
  const value = hosts.reduce((text, { port }) => text.replace(`:${port}"`, ':OWN"'), result);
  return form.test(value.slice(2)) ? `0 <${property}>` : result;
}
