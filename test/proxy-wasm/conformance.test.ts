//! Real Envoy is the referee: one probe plug-in calls every host function in every phase, with good
//! and bad arguments, in Envoy and in our gateway; what it sees is compared line by line.
//!
//! A line may differ only where a row of docs/proxy-wasm-differences.md names it. Then each host
//! function is broken on purpose, in both ways below, and some line must differ.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { ENVOY_OBJECTS } from "../../src/wasm/envoy-objects.ts";
import type { GuestFunction } from "../../src/wasm/guest-probe.ts";
import { send, startEcho, startEnvoyHost, startOurHost } from "../support/conformance.ts";
import type { Host, ProbeCase, ProbePlugin, UpstreamPorts } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { startGrpcUpstream } from "../support/grpc-upstream.ts";
import { KnownDifferences } from "../support/known-differences.ts";
import { builtProbe } from "../support/probe.ts";
import { GROUPS } from "./probe/cases.ts";

/** How a body is cut is a matter of timing: a case that differs is tried again. */
const TRIES_MAX = 3;
const WAITS = { replyMsMax: 3_000, linesMsMax: 30_000 };
/** With a broken host function some exchanges never end, or without their last line. */
const BROKEN = { replyMsMax: 1_000, linesMsMax: 300 };
/** Fewer would mean that cases have been lost. */
const LINES_COMPARED_MIN = 2_500;

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;

const known = new KnownDifferences("Where our Proxy-Wasm host differs from Envoy");
let comparedCount = 0;
/** What Envoy's lines were where ours were the same, by the case's name. */
const agreed = new Map<string, readonly string[]>();
let hosts: { readonly envoy: Host; readonly ours: Host } | null = null;
let ports: UpstreamPorts;
let stopUpstreams: () => void = () => undefined;

before(async () => {
  if (binary.kind === "missing") return;
  const plugin = await probePlugin();
  const echo = await startEcho();
  const grpc = await startGrpcUpstream();
  stopUpstreams = () => {
    echo.stop();
    grpc.stop();
  };
  ports = { echo: echo.port, grpc: grpc.port, dead: await freePort() };
  const ours = await startOurHost(plugin, ports);
  hosts = { ours, envoy: await startEnvoyHost(plugin, ports, binary.path) };
});

after(async () => {
  await hosts?.envoy.stop();
  await hosts?.ours.stop();
  stopUpstreams();
  await endAll();
});

for (const { covers, cases } of GROUPS) {
  test(`the probe sees the same in Envoy and here: ${covers}`, { skip }, async () => {
    const faults: string[] = [];
    for (const probe of cases) faults.push(...(await compare(probe)));
    assert.deepEqual(faults, []);
  });
}

test("every object of its filter state that Envoy has is here too", { skip }, () => {
  // It names its extensions when it starts.
  const log = hosts?.envoy.log?.() ?? "";
  const named = /\bfilter_state\.object: (.*)$/m.exec(log)?.[1]?.split(", ") ?? [];
  assert.deepEqual([...ENVOY_OBJECTS.keys()].sort(), named.sort());
});

test("every documented difference is one, and enough was compared", { skip }, (context) => {
  context.diagnostic(`${comparedCount} lines compared`);
  assert.ok(comparedCount >= LINES_COMPARED_MIN, `only ${comparedCount} lines were compared`);
  assert.deepEqual(known.unused, []);
});

async function probePlugin(): Promise<ProbePlugin> {
  return { path: await builtProbe(), configuration: "tick nothing" };
}

type Breakage = (run: (...parameters: never[]) => unknown) => () => unknown;

/** What a broken host function does in the place of what it should. */
const BREAKAGES: readonly (readonly [
  what: string,
  breakage: Breakage,
  survivors: readonly string[],
])[] = [
  // An edit of the headers forgets the route by itself, so that what this does is not to be seen.
  ["does nothing and says OK", () => () => 0, ["call_foreign_function s:clear_route_cache"]],
  [
    "does what it should and says that it has not",
    (run) =>
      (...parameters: never[]) => {
        run(...parameters);
        return 10;
      },
    [],
  ],
];

/** By the one all others are seen; the other makes no line of a stream. */
const OF_THE_PLUGIN = ["proxy_log", "proxy_set_tick_period_milliseconds"];

for (const [what, breakage, wanted] of BREAKAGES) {
  test(`a host function that ${what} is found out, each of them`, { skip }, async (context) => {
    const functions = [...(await hostFunctionsOfProbe()), ...foreignFunctions()];
    const survivors: string[] = [];
    for (const one of functions) {
      if (!(await isFound(one, breakage))) survivors.push(one.calledAs);
    }
    context.diagnostic(`${functions.length} functions broken`);
    assert.deepEqual(survivors, wanted);
  });
}

test("where nothing is broken nothing is found", { skip }, async () => {
  assert.equal(await isFound({ name: "", calledAs: "get_metric" }, () => () => 10), false);
});

interface HostFunction {
  readonly name: string;
  /** What stands in a script for it. */
  readonly calledAs: string;
}

/** The probe's imports. */
async function hostFunctionsOfProbe(): Promise<readonly HostFunction[]> {
  const { path } = await probePlugin();
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(path)));
  return imports.flatMap(({ name }) =>
    /^(proxy|envoy)_/.test(name) && !OF_THE_PLUGIN.includes(name)
      ? { name, calledAs: name.replace(/^(proxy|envoy)_/, "") }
      : [],
  );
}

/** Those that cases call by their names. */
function foreignFunctions(): readonly HostFunction[] {
  const scripts = GROUPS.flatMap(({ cases }) => cases.flatMap(({ script }) => script));
  const names = scripts.flatMap((line) => /call_foreign_function s:(\w+) /.exec(line)?.[1] ?? []);
  return [...new Set(names)].map((name) => ({
    name: "proxy_call_foreign_function",
    calledAs: `call_foreign_function s:${name}`,
  }));
}

/** Whether some case that calls it has another line then; of a foreign function, its own line. */
async function isFound({ name, calledAs }: HostFunction, breakage: Breakage): Promise<boolean> {
  const probe = {
    callback: (_name: string, run: GuestFunction) => run,
    hostFunction: (one: string, run: GuestFunction) => (one === name ? breakage(run) : run),
  };
  const cases = GROUPS.flatMap((group) => group.cases).filter(({ script }) =>
    script.some((line) => `${line} `.includes(` ${calledAs} `)),
  );
  const host = await startOurHost(await probePlugin(), ports, undefined, probe);
  try {
    for (const one of cases) {
      const wanted = agreed.get(one.name);
      if (wanted === undefined) continue;
      const got = await observe(host, { ...one, name: `${one.name}/1` }, BROKEN);
      const found = differences(wanted, got);
      if (found.some((line) => !calledAs.includes(" ") || line.includes(calledAs))) return true;
    }
    return false;
  } finally {
    await host.stop();
  }
}

async function compare(probe: ProbeCase): Promise<string[]> {
  let faults: string[] = [];
  for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
    const name = `${probe.name}/${attempt}`;
    assert.ok(hosts !== null);
    const wanted = await observe(hosts.envoy, { ...probe, name });
    const got = await observe(hosts.ours, { ...probe, name });
    faults = differences(wanted, got);
    if (faults.length > 0) continue;
    comparedCount += wanted.length;
    agreed.set(probe.name, wanted);
    break;
  }
  return faults;
}

/** The lines of one case to its `delete`, without body chunks' sizes, and what the client got. */
async function observe(
  host: Host,
  probe: ProbeCase,
  { replyMsMax, linesMsMax } = WAITS,
): Promise<string[]> {
  const reply = await send(host.port, probe, replyMsMax);
  const endMs = systemClock.monotonicMs() + linesMsMax;
  const own = (): string[] => host.lines().filter((line) => line.startsWith(`${probe.name} `));
  const exchanges = 1 + (probe.later?.length ?? 0);
  const ended = (): number => own().filter((line) => line === `${probe.name} delete`).length;
  while (ended() < exchanges && systemClock.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
  }
  const prefix = probe.name.length - 1;
  const lines = own()
    .map((line) => probe.name.slice(0, prefix - 1) + line.slice(probe.name.length))
    .filter((line) => !/ sb size=\d+ end=0$/.test(line));
  const ordered = probe.anyOrder === true ? lines.sort() : withLast(lines, probe.anyPlace);
  return [...ordered, `${probe.name.slice(0, prefix - 1)} client ${JSON.stringify(reply)}`];
}

/** The lines that end so behind the others. */
function withLast(lines: readonly string[], end: string | undefined): readonly string[] {
  if (end === undefined) return lines;
  const isLast = (line: string): boolean => line.endsWith(` ${end}`);
  return [...lines.filter((line) => !isLast(line)), ...lines.filter(isLast)];
}

function differences(wanted: readonly string[], got: readonly string[]): string[] {
  const faults: string[] = [];
  const length = Math.max(wanted.length, got.length);
  for (let index = 0; index < length; index++) {
    const left = wanted[index] ?? "nothing";
    const right = got[index] ?? "nothing";
    if (left === right || known.allows(left, right)) continue;
    faults.push(`Envoy: ${left} | here: ${right}`);
  }
  return faults;
}
