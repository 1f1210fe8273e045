//! `graylane plugin profile`: what a plug-in costs, callback by callback, and where the time goes.
//!
//! Three runs, so that no measurement disturbs another: one with nothing measured inside, one with
//! every call in and out measured, and one for the stacks, under V8's sampling profiler.

import { writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { dirname } from "node:path";
import { systemClock } from "../base/clock.ts";
import { CASES_NAME } from "../cli/plugin.ts";
import type { ProfileOptions } from "../cli/plugin.ts";
import { NO_FACTS } from "../plugin-tools/case-facts.ts";
import { parseCaseFile } from "../plugin-tools/case-file.ts";
import type { CaseFile } from "../plugin-tools/case-file.ts";
import { prepareCaseGateway } from "../plugin-tools/case-run.ts";
import type { CaseSetting } from "../plugin-tools/case-run.ts";
import { foldedStacks, guestStacks } from "../plugin-tools/cpu-stacks.ts";
import type { CpuProfile } from "../plugin-tools/cpu-stacks.ts";
import { flameGraph } from "../plugin-tools/flame-graph.ts";
import { GuestProfile } from "../plugin-tools/guest-profile.ts";
import { ProfiledPlugin } from "../plugin-tools/profile-run.ts";
import { profileText } from "../plugin-tools/profile-text.ts";
import { formatFault } from "../resources/format-fault.ts";
import { LoadFault } from "../wasm/fault.ts";
import type { GuestFunction, GuestProbe } from "../wasm/guest-probe.ts";
import { loadModule } from "../wasm/module.ts";
import { casesWith, readBootstrapPlugin } from "./bootstrap-plugin.ts";
import { readModule } from "./plugin-commands.ts";
import type { Terminal } from "./up.ts";

/** Requests before those that are measured, at most: V8 optimises the code meanwhile. */
const WARM_UP_MAX = 2_000;
/** Parts that the requests are timed in. */
const SLICES = 20;
/** Microseconds between samples. */
const SAMPLE_EVERY_US = 100;

const nowMs = (): number => systemClock.monotonicMs();

/** Exit code 1 when the plug-in cannot run, traps, or the file cannot be written. */
export async function profilePlugin(options: ProfileOptions, terminal: Terminal): Promise<number> {
  const fail = (message: string): number => {
    terminal.stderr.write(`error: ${message}\n`);
    return 1;
  };
  const read = await readProfiled(options, terminal);
  if (read === null) return 1;
  const { file, bytes } = read;
  const beganMs = nowMs();
  const module = await loadModule(bytes, { name: file.plugin });
  if (module instanceof LoadFault) return fail(`${file.plugin}: ${faultText(module)}`);
  const loadedMs = nowMs();
  const setting = { module, file, gateway: await prepareCaseGateway() };
  const plain = measurePlain(setting, options.requests);
  if (typeof plain === "string") return fail(`${file.plugin}: ${plain}`);
  const profile = new GuestProfile(nowMs);
  const probed = measureCalls(setting, profile, options.requests);
  if (typeof probed === "string") return fail(`${file.plugin}: ${probed}`);
  terminal.stdout.write(
    profileText({
      ...{ file: file.plugin, abiVersion: module.abiVersion, moduleBytes: bytes.length },
      ...{ loadMs: loadedMs - beganMs, requests: options.requests, kinds: file.cases.length },
      ...plain,
      callbacks: profile.callbacks(),
      hostFunctions: profile.hostFunctions(),
    }),
  );
  if (options.output === null) return 0;
  const wrong = await writeStacks(setting, options.output, options.requests);
  if (wrong !== null) return fail(wrong);
  terminal.stdout.write(`\nstacks: ${options.output}\n`);
  return 0;
}

interface Profiled {
  readonly file: CaseFile;
  readonly bytes: Uint8Array;
}

/** Null, and said, when there is nothing to be had. */
async function readProfiled(options: ProfileOptions, terminal: Terminal): Promise<Profiled | null> {
  const file = await readCases(options, terminal);
  if (file === null) return null;
  if (options.bootstrap !== null) {
    const found = await readBootstrapPlugin(options.bootstrap, terminal);
    return found === null ? null : { file: casesWith(found, file), bytes: found.bytes };
  }
  const bytes = await readModule(file.plugin, terminal);
  return bytes === null ? null : { file, bytes };
}

/** Null, and said, when there are none to be had. */
async function readCases(options: ProfileOptions, terminal: Terminal): Promise<CaseFile | null> {
  const { file } = options;
  if (file === null || !CASES_NAME.test(file)) return oneCase(options, file ?? "");
  const text = await readModule(file, terminal);
  if (text === null) return null;
  const { suite, faults } = parseCaseFile(text.toString(), { file, folder: dirname(file) });
  for (const fault of faults) terminal.stderr.write(`${formatFault(fault)}\n`);
  return suite;
}

function oneCase({ configuration, rootId, request }: ProfileOptions, file: string): CaseFile {
  const { method, path, headers, body } = request;
  const chunks = body === "" ? [] : [body];
  return {
    ...{ file, plugin: file, rootId, vmConfiguration: "", env: {} },
    cases: [
      {
        ...{ name: "", line: 0, configuration, waitMs: 0, expect: null },
        ...{ calls: [], grpc: [], redis: [], dns: [], facts: NO_FACTS },
        request: { method, path, authority: "localhost", headers, chunks, trailers: null },
        response: {
          status: 200,
          headers: [["content-type", "text/plain"]],
          chunks: ["hello\n"],
          trailers: null,
        },
      },
    ],
  };
}

interface Plain {
  readonly startMs: number;
  readonly requestUs: number;
  readonly memoryBytesAtStart: number;
  readonly memoryBytes: number;
}

/** A text says why it cannot be measured. */
function measurePlain(setting: CaseSetting, requests: number): Plain | string {
  const beganMs = nowMs();
  const started = ProfiledPlugin.start(setting, null);
  if (started instanceof LoadFault) return faultText(started);
  const startMs = nowMs() - beganMs;
  const { plugin } = started;
  const memoryBytesAtStart = plugin.memoryBytes;
  started.run(Math.min(requests, WARM_UP_MAX));
  const requestUs = medianOf(started, requests) * 1_000;
  const { memoryBytes, lastTrap } = plugin;
  plugin.stop();
  if (lastTrap !== null) return lastTrap.report();
  return { startMs, requestUs, memoryBytesAtStart, memoryBytes };
}

/** Of slices, since on a busy machine some of them wait for a processor. Milliseconds a request. */
function medianOf(started: ProfiledPlugin, requests: number): number {
  const count = Math.ceil(requests / SLICES);
  const slices: number[] = [];
  for (let done = 0; done < requests; done += count) {
    const fromMs = nowMs();
    started.run(count);
    slices.push((nowMs() - fromMs) / count);
  }
  slices.sort((a, b) => a - b);
  return slices[Math.floor(slices.length / 2)] ?? 0;
}

function measureCalls(
  setting: CaseSetting,
  profile: GuestProfile,
  requests: number,
): string | null {
  const started = ProfiledPlugin.start(setting, profile);
  if (started instanceof LoadFault) return faultText(started);
  started.run(Math.min(requests, WARM_UP_MAX));
  profile.reset();
  started.run(requests);
  started.plugin.stop();
  return started.plugin.lastTrap?.report() ?? null;
}

/** Null when the file is written; else what went wrong. */
async function writeStacks(
  setting: CaseSetting,
  path: string,
  requests: number,
): Promise<string | null> {
  const names = new FunctionNames();
  const profile = await sample(setting, names, requests);
  const root = guestStacks(profile, names.byIndex);
  const title = `${setting.file.plugin}, ${requests} requests`;
  const text = path.endsWith(".svg")
    ? flameGraph(root, title)
    : path.endsWith(".folded")
      ? foldedStacks(root)
      : JSON.stringify(profile);
  try {
    await writeFile(path, text);
    return null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `the stacks cannot be written to ${path}: ${why}\nName a file that you may write.`;
  }
}

/** Measures nothing: an exported function tells its index by its name. */
class FunctionNames implements GuestProbe {
  readonly byIndex: Map<string, string> = new Map<string, string>();

  callback(name: string, run: GuestFunction): GuestFunction {
    this.byIndex.set(run.name, name);
    return run;
  }

  hostFunction(_name: string, run: GuestFunction): GuestFunction {
    return run;
  }
}

async function sample(
  setting: CaseSetting,
  names: FunctionNames,
  requests: number,
): Promise<CpuProfile> {
  const started = ProfiledPlugin.start(setting, names);
  if (started instanceof LoadFault) return { nodes: [] };
  started.run(Math.min(requests, WARM_UP_MAX));
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
    await session.post("Profiler.start");
    started.run(requests);
    const { profile } = await session.post("Profiler.stop");
    return profile;
  } finally {
    session.disconnect();
    started.plugin.stop();
  }
}

function faultText({ message, remedy }: LoadFault): string {
  return remedy === "" ? message : `${message}\n${remedy}`;
}
