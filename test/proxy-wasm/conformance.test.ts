//! Real Envoy is the referee: one probe plug-in calls every host function in every phase, with good
//! and bad arguments, in Envoy and in our gateway; what it sees is compared line by line.
//!
//! A line may differ only where a row of docs/proxy-wasm-differences.md names it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { send, startEcho, startEnvoyHost, startOurHost } from "../support/conformance.ts";
import type { Host, ProbeCase } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { startGrpcUpstream } from "../support/grpc-upstream.ts";
import { KnownDifferences } from "../support/known-differences.ts";
import { builtProbe } from "../support/probe.ts";
import { GROUPS } from "./probe/cases.ts";

/** How a body is cut is a matter of timing: a case that differs is tried again. */
const TRIES_MAX = 3;
const LINES_MS_MAX = 30_000;
/** Fewer would mean that cases have been lost. */
const LINES_COMPARED_MIN = 2_500;

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;

const known = new KnownDifferences("Where our Proxy-Wasm host differs from Envoy");
let comparedCount = 0;
let hosts: { readonly envoy: Host; readonly ours: Host } | null = null;
let stopUpstreams: () => void = () => undefined;

before(async () => {
  if (binary.kind === "missing") return;
  const plugin = { path: await builtProbe(), configuration: "tick nothing" };
  const echo = await startEcho();
  const grpc = await startGrpcUpstream();
  stopUpstreams = () => {
    echo.stop();
    grpc.stop();
  };
  const ports = { echo: echo.port, grpc: grpc.port, dead: await freePort() };
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

test("every documented difference is one, and enough was compared", { skip }, (context) => {
  context.diagnostic(`${comparedCount} lines compared`);
  assert.ok(comparedCount >= LINES_COMPARED_MIN, `only ${comparedCount} lines were compared`);
  assert.deepEqual(known.unused, []);
});

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
    break;
  }
  return faults;
}

/** The lines of one case, from its first to its `delete`, without those of body chunks' sizes. */
async function observe(host: Host, probe: ProbeCase): Promise<string[]> {
  await send(host.port, probe);
  const endMs = systemClock.monotonicMs() + LINES_MS_MAX;
  const own = (): string[] => host.lines().filter((line) => line.startsWith(`${probe.name} `));
  while (!own().includes(`${probe.name} delete`) && systemClock.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
  }
  const prefix = probe.name.length - 1;
  const lines = own()
    .map((line) => probe.name.slice(0, prefix - 1) + line.slice(probe.name.length))
    .filter((line) => !/ sb size=\d+ end=0$/.test(line));
  return probe.anyOrder === true ? lines.sort() : lines;
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
