//! CEL expressions of plug-ins: real Envoy is the referee of a table of them, in three phases.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { send, startEcho, startEnvoyHost, startOurHost } from "../support/conformance.ts";
import type { Host } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { builtProbe } from "../support/probe.ts";
import { percent } from "./probe/case-parts.ts";
import { DECLARES } from "./probe/declared-messages.ts";
import { EXPRESSIONS, STORED } from "./probe/expression-cases.ts";

const PHASES = ["rh", "sh", "log"] as const;
const LINES_MS_MAX = 30_000;
/** Few enough for a head and for the time that a callback has. */
const PER_REQUEST = 25;

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;

let hosts: { readonly envoy: Host; readonly ours: Host } | null = null;
let stopEcho: () => void = () => undefined;

before(async () => {
  if (binary.kind === "missing") return;
  const plugin = { path: await builtProbe(), configuration: "tick nothing" };
  const echo = await startEcho();
  stopEcho = () => {
    echo.stop();
  };
  const ports = { echo: echo.port, grpc: await freePort(), dead: await freePort() };
  const ours = await startOurHost(plugin, ports);
  hosts = { ours, envoy: await startEnvoyHost(plugin, ports, binary.path) };
  for (const host of [hosts.envoy, hosts.ours]) await run(host, "declare", DECLARES);
});

after(async () => {
  await hosts?.envoy.stop();
  await hosts?.ours.stop();
  stopEcho();
  await endAll();
});

for (const [covers, expressions] of Object.entries(EXPRESSIONS)) {
  test(`expressions have the same values in Envoy and here: ${covers}`, { skip }, async () => {
    assert.ok(hosts !== null);
    for (let start = 0; start < expressions.length; start += PER_REQUEST) {
      const part = expressions.slice(start, start + PER_REQUEST);
      const name = `${covers.replaceAll(/\W+/g, "-")}-${start}`;
      const wanted = await evaluateAll(hosts.envoy, name, part);
      const got = await evaluateAll(hosts.ours, name, part);
      assert.ok(wanted.length >= part.length);
      assert.deepEqual(got, wanted);
    }
  });
}

/** `expression phase = status value`, or how it was refused. */
async function evaluateAll(
  host: Host,
  name: string,
  expressions: readonly string[],
): Promise<readonly string[]> {
  const scripts = expressions.map(
    (text) => `rh call_foreign_function s:expr_create s:${scriptText(text)} v`,
  );
  const made = await run(host, `make-${name}`, scripts);
  const tokens = made.map((result) => (result.startsWith("0 ") ? tokenOf(result) : null));
  const evaluations = PHASES.flatMap((phase) =>
    tokens.map((token) => (token === null ? "" : foreign(phase, "expr_evaluate", token))),
  );
  const deletions = tokens.map((token) =>
    token === null ? "" : foreign("delete", "expr_delete", token),
  );
  const texts = PHASES.flatMap((phase) => expressions.map((text) => `${text} ${phase}`));
  const wanted = [...evaluations, ...deletions].filter((line) => line !== "");
  const results = (await run(host, `use-${name}`, [...STORED, ...wanted])).slice(STORED.length);
  const used = texts.filter((_text, index) => evaluations[index] !== "");
  const refused = expressions.flatMap((text, index) =>
    tokens[index] === null ? [`${text} refused ${made[index] ?? ""}`] : [],
  );
  return [...refused, ...used.map((text, index) => `${text} = ${results[index] ?? ""}`)];
}

function foreign(phase: string, name: string, token: Buffer): string {
  return `${phase} call_foreign_function s:${name} s:${percent(token)} v`;
}

/** As it stands in a script: what would end a word or a line is written as a number. */
function scriptText(text: string): string {
  const bytes = Buffer.from(text, "utf8").toString("latin1");
  return bytes.replaceAll(/[^\w."'()[\]{}<>=!&|+\-*/?:,]/g, (character) =>
    percent(Buffer.from(character, "latin1")),
  );
}

/** The probe shows printable bytes as a text. */
function tokenOf(result: string): Buffer {
  const shown = result.slice(2);
  return shown.startsWith('"')
    ? Buffer.from(shown.slice(1, -1), "latin1")
    : Buffer.from(shown.slice(2), "hex");
}

/** What each line of the script gave, in order. */
async function run(host: Host, name: string, script: readonly string[]): Promise<string[]> {
  const headers = [
    ["x-a", "1"],
    ["x-a", "2"],
    ["referer", "there"],
  ] as const;
  await send(host.port, { name, path: "/a/b?q=1&r=2", headers, script });
  const endMs = systemClock.monotonicMs() + LINES_MS_MAX;
  const own = (): string[] =>
    host.lines().filter((line) => line.startsWith(`${name} `) && / = \d+/.test(line));
  // What a phase returns is no call, and gives no line.
  const calls = script.filter((line) => !/^\w+ return /.test(line)).length;
  while (own().length < calls && systemClock.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
  }
  assert.equal(own().length, calls, `${name}: a line for each call`);
  return own().map((line) => line.slice(line.lastIndexOf(" = ") + 3));
}
