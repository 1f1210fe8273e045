//! The guest's stacks in a CPU profile of V8, as a tree and as folded lines.

/** One function of a profile: as much of V8's format as is read here. */
export interface CpuProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
  readonly children?: readonly number[] | undefined;
}

export interface CpuProfile {
  readonly nodes: readonly CpuProfileNode[];
  /** The node of each sample. */
  readonly samples?: readonly number[] | undefined;
  /** Microseconds before each sample. */
  readonly timeDeltas?: readonly number[] | undefined;
}

export interface StackNode {
  readonly name: string;
  /** With its children; microseconds. */
  totalUs: number;
  ownUs: number;
  readonly children: Map<string, StackNode>;
}

const NAME_CHARS_MAX = 200;
/** Deeper frames count for the last that is shown. */
const DEPTH_MAX = 200;

/** V8's glue between JavaScript and Wasm. */
const GLUE = /^(js-to-wasm|wasm-to-js)\b/;
const NAMELESS = /^wasm-function\[(\d+)\]$/;

/**
 * Everything from the guest's outermost frame on; what the host does for it comes below, as
 * `host: name`. Samples without a frame of the guest are left out. `names` are those of functions
 * by index, for modules without a name section.
 */
export function guestStacks(
  { nodes, samples = [], timeDeltas = [] }: CpuProfile,
  names: ReadonlyMap<string, string>,
): StackNode {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const stacks = new Map<number, readonly string[]>();
  const stackOf = (id: number): readonly string[] => {
    const known = stacks.get(id);
    if (known !== undefined) return known;
    const node = byId.get(id);
    const parent = parents.get(id);
    const above = parent === undefined ? [] : stackOf(parent);
    const stack = node === undefined ? above : extended(above, node, names);
    stacks.set(id, stack);
    return stack;
  };
  const root = makeNode("plug-in");
  samples.forEach((id, index) => {
    const stack = stackOf(id);
    if (stack.length > 0) addSample(root, stack, Math.max(0, timeDeltas[index] ?? 0));
  });
  return root;
}

function extended(
  above: readonly string[],
  { callFrame }: CpuProfileNode,
  names: ReadonlyMap<string, string>,
): readonly string[] {
  const { functionName, url } = callFrame;
  const isGuest = url.startsWith("wasm://");
  if ((!isGuest && above.length === 0) || above.length >= DEPTH_MAX) return above;
  if (isGuest) {
    if (GLUE.test(functionName)) return above;
    const index = NAMELESS.exec(functionName)?.[1];
    const name = index === undefined ? functionName : (names.get(index) ?? functionName);
    return [...above, name.slice(0, NAME_CHARS_MAX)];
  }
  // What has no file is the engine itself, and means nothing to who reads this.
  if (url === "" && !isCollector(functionName)) return above;
  const name = functionName === "" ? "(anonymous)" : functionName.slice(0, NAME_CHARS_MAX);
  return [...above, `host: ${name}`];
}

function isCollector(name: string): boolean {
  return name === "(garbage collector)";
}

export function makeNode(name: string): StackNode {
  return { name, totalUs: 0, ownUs: 0, children: new Map() };
}

export function addSample(root: StackNode, stack: readonly string[], timeUs: number): void {
  let node = root;
  node.totalUs += timeUs;
  for (const name of stack) {
    const child = node.children.get(name) ?? makeNode(name);
    node.children.set(name, child);
    child.totalUs += timeUs;
    node = child;
  }
  node.ownUs += timeUs;
}

/** `a;b;c 120`: a stack and its microseconds, as flamegraph.pl and speedscope read them. */
export function foldedStacks(root: StackNode): string {
  const lines: string[] = [];
  const walk = (node: StackNode, path: string): void => {
    if (node.ownUs > 0) lines.push(`${path} ${Math.round(node.ownUs)}\n`);
    for (const child of node.children.values()) {
      const name = child.name.replace("host: ", "host:").replaceAll(/[;\s]+/g, "_");
      walk(child, path === "" ? name : `${path};${name}`);
    }
  };
  walk(root, "");
  return lines.sort().join("");
}
