//! What a plug-in logged, in all gateway workers, as one list in the order of time.

import type { PluginLogLine, PluginLogQuery } from "../api/types.ts";
import { delay } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import { ENVOY_LEVELS } from "../base/envoy-levels.ts";
import type { PluginLine } from "../dataplane/plugin-lines.ts";
import { nearest } from "../resources/suggest.ts";

/** How often a follower asks the workers for more. */
export const FOLLOW_POLL_MS = 200;
/** Names that an error lists. */
const NAMES_MAX = 20;

/** As much of a `WorkerLink` as is needed. */
export interface LoggingWorker {
  readonly id: string;
  pluginLines(plugin: string, after: number): Promise<readonly PluginLine[]>;
}

export interface PluginLogSource {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Those that run now. */
  readonly workers: () => readonly LoggingWorker[];
  /** What the plug-ins are called that run now. */
  readonly plugins: readonly string[];
}

/** A text: there is no plug-in of that name, and why. */
export function pluginLog(
  query: PluginLogQuery,
  source: PluginLogSource,
): AsyncIterable<PluginLogLine> | string {
  const found = findPlugin(query.plugin, source.plugins);
  if (typeof found === "string") return found;
  return readLines({ ...query, plugin: found.plugin }, source);
}

function findPlugin(
  name: string,
  plugins: readonly string[],
): { readonly plugin: string } | string {
  if (plugins.includes(name)) return { plugin: name };
  const ofOtherKinds = plugins.filter((plugin) => plugin.startsWith(`${name}@`));
  const [only, ...more] = ofOtherKinds;
  if (only !== undefined && more.length === 0) return { plugin: only };
  if (only !== undefined) return `several plug-ins are called ${name}: ${ofOtherKinds.join(", ")}`;
  return `no plug-in ${name} runs; ${suggestion(name, plugins)}`;
}

function suggestion(name: string, plugins: readonly string[]): string {
  if (plugins.length === 0) return "none does: graylane get wasmplugin -A says why";
  const elsewhere = plugins.filter((plugin) => bareName(plugin) === bareName(name));
  const similar = nearest(name, plugins) ?? plugins.find((plugin) => isNear(name, plugin)) ?? [];
  const meant = elsewhere.length > 0 ? elsewhere : [similar].flat();
  if (meant.length > 0) return `did you mean ${meant.slice(0, NAMES_MAX).join(" or ")}?`;
  const rest = plugins.length > NAMES_MAX ? ` and ${plugins.length - NAMES_MAX} more` : "";
  return `those that run are ${plugins.slice(0, NAMES_MAX).join(", ")}${rest}`;
}

function isNear(name: string, plugin: string): boolean {
  return nearest(bareName(name), [bareName(plugin)]) !== null;
}

/** Without the namespace, and without the kind behind the `@`. */
function bareName(plugin: string): string {
  return plugin.replace(/^.*\//, "").replace(/@.*$/, "");
}

async function* readLines(
  { plugin, follow, tailLines, sinceMs }: PluginLogQuery,
  { clock, signal, workers }: PluginLogSource,
): AsyncGenerator<PluginLogLine> {
  /** Of each worker, the number of the last line that was read. */
  const read = new Map<string, number>();
  const more = async (): Promise<PluginLogLine[]> => {
    const running = workers();
    const ids = new Set(running.map(({ id }) => id));
    for (const id of read.keys()) if (!ids.has(id)) read.delete(id);
    const news = await Promise.all(running.map((worker) => newsOf(worker, plugin, read)));
    const lines = news.flat().filter(({ timeMs }) => timeMs >= sinceMs);
    return lines.sort((a, b) => a.timeMs - b.timeMs);
  };
  const kept = await more();
  yield* tailLines === null ? kept : kept.slice(Math.max(0, kept.length - tailLines));
  while (follow && !signal.aborted) {
    await delay(clock, FOLLOW_POLL_MS);
    yield* await more();
  }
}

async function newsOf(
  worker: LoggingWorker,
  plugin: string,
  read: Map<string, number>,
): Promise<PluginLogLine[]> {
  const { id } = worker;
  const after = read.get(id) ?? 0;
  let lines: readonly PluginLine[];
  try {
    lines = await worker.pluginLines(plugin, after);
  } catch {
    // It has died just now: what it logged last is in the server's log only.
    return [];
  }
  const [first] = lines;
  if (first === undefined) return [];
  read.set(id, lines.at(-1)?.number ?? after);
  const toLine = ({ timeMs, level, rootId, message }: PluginLine): PluginLogLine => ({
    ...{ timeMs, worker: id, level: levelName(level), rootId, message },
  });
  const lost = first.number - after - 1;
  const isGap = after > 0 && lost > 0;
  const gap = { ...first, level: 3, message: `${lost} lines left out: they came too fast` };
  return [...(isGap ? [toLine(gap)] : []), ...lines.map(toLine)];
}

function levelName(level: number): PluginLogLine["level"] {
  const name = ENVOY_LEVELS[level] ?? "info";
  return name === "off" ? "info" : name;
}
