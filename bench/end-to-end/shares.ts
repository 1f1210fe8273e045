//! What a worker's CPU time went to, by a CPU profile of V8: a share for each part, and the stacks.
//!
//! A function counts for the part that its file belongs to. What the engine does natively (a write
//! to a socket) has a name and no file; what is not named here counts for who called it.

import { addSample, makeNode } from "../../src/plugin-tools/cpu-stacks.ts";
import type { CpuProfile, CpuProfileNode, StackNode } from "../../src/plugin-tools/cpu-stacks.ts";

const WRITES = "writing to sockets: the system's calls";
const LOG = "access log and counters";

/** By the file's path behind `src/` or the module of Node; the first that fits counts. */
const PARTS: readonly (readonly [file: RegExp, part: string])[] = [
  [/^(telemetry\/|dataplane\/worker\/|dataplane\/exchange\/exchange-record)/, LOG],
  [/^http\/serialize/, "writing heads"],
  [/^http\//, "parsing and checking HTTP"],
  [/^wasm|^dataplane\/filter\/plugin/, "plug-ins"],
  [/^(route|lane|dataplane\/filter|dataplane\/runtime)\//, "filters, route, lane"],
  [/^dataplane\/upstream\//, "connections to endpoints and their pool"],
  [/^(dataplane\/listener|dataplane\/exchange|dataplane)\//, "client connection and exchange"],
  [/^node:(internal\/http2|http2)/, "Node's HTTP/2 in JavaScript"],
  [/^node:/, "Node's sockets, streams, ticks and timers"],
];
const NATIVE = new Map([
  ["(garbage collector)", "garbage collector"],
  ["(program)", "event loop and native code: waiting, reading, HTTP/2 and TLS of reads"],
  ["writeLatin1String", WRITES],
  ["writeBuffer", WRITES],
  ["writeUtf8String", WRITES],
  ["writev", WRITES],
]);
/** Not the worker's work: nothing to do, and the profiler's own start and stop. */
const LEFT_OUT: ReadonlySet<string> = new Set(["(idle)", "dispatch"]);
/** Thinner frames would be less than half a pixel. */
const DRAWN_SHARE_MIN = 0.001;

export interface Shares {
  /** Of all time, largest first. */
  readonly parts: readonly (readonly [part: string, share: number])[];
  readonly stacks: StackNode;
}

export function sharesOf({ nodes, samples = [], timeDeltas = [] }: CpuProfile): Shares {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<number, CpuProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const totals = new Map<string, number>();
  const stacks = makeNode("worker");
  samples.forEach((id, index) => {
    const leaf = byId.get(id);
    if (leaf === undefined || LEFT_OUT.has(leaf.callFrame.functionName)) return;
    const path = pathTo(leaf, parents);
    const timeUs = Math.max(0, timeDeltas[index] ?? 0);
    const part = partOf(path);
    totals.set(part, (totals.get(part) ?? 0) + timeUs);
    addSample(stacks, path.map(nameOf), timeUs);
  });
  prune(stacks, stacks.totalUs * DRAWN_SHARE_MIN);
  const parts = [...totals].map(([part, us]) => [part, us / stacks.totalUs] as const);
  return { parts: parts.sort((a, b) => b[1] - a[1]), stacks };
}

/** From the outermost frame to `leaf`, without V8's root. */
function pathTo(
  leaf: CpuProfileNode,
  parents: ReadonlyMap<number, CpuProfileNode>,
): CpuProfileNode[] {
  const path: CpuProfileNode[] = [];
  let node: CpuProfileNode | undefined = leaf;
  while (node !== undefined && node.callFrame.functionName !== "(root)") {
    path.unshift(node);
    node = parents.get(node.id);
  }
  return path;
}

function partOf(path: readonly CpuProfileNode[]): string {
  const native = NATIVE.get(path.at(-1)?.callFrame.functionName ?? "");
  const own = path.findLast(({ callFrame }) => partOfFile(callFrame.url) !== null);
  if (native === WRITES && path.some(({ callFrame }) => callFrame.url.includes("/telemetry/"))) {
    return LOG;
  }
  return native ?? partOfFile(own?.callFrame.url ?? "") ?? "other";
}

function partOfFile(url: string): string | null {
  const file = shortened(url);
  return PARTS.find(([files]) => files.test(file))?.[1] ?? null;
}

function shortened(url: string): string {
  return url.replace(/^wasm:.*/, "wasm").replace(/^.*\/dist\/src\//, "");
}

function nameOf({ callFrame: { functionName, url } }: CpuProfileNode): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${shortened(url)}`;
}

function prune(node: StackNode, usMin: number): void {
  for (const [name, child] of node.children) {
    if (child.totalUs < usMin) node.children.delete(name);
    else prune(child, usMin);
  }
}
