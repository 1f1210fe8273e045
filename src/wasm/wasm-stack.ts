//! Reads the guest's own frames out of an error's stack, with names where the module has some.

/** Frames shown of one crash; a recursion would fill pages. */
const FRAMES_MAX = 32;
const NAME_MAX = 200;

/**
 * `at name (wasm://wasm/name-0a1b:wasm-function[12]:0x1f)`; the name is missing without names. The
 * offset is dropped: it points into the code after the rewriting.
 */
const FRAME = /^\s*at (?:(.*) \()?wasm:\/\/\S*?wasm-function\[(\d+)\](?::0x[0-9a-f]+)?\)?$/;

/** The guest's frames, innermost first: `name [12]`, or `wasm-function[12]` without a name. */
export function wasmFrames(stack: string): string[] {
  const frames: string[] = [];
  for (const line of stack.split("\n")) {
    const match = FRAME.exec(line);
    if (match === null) continue;
    const [, name, index = ""] = match;
    if (frames.length === FRAMES_MAX) {
      frames.push("…");
      break;
    }
    frames.push(frameText(name, index));
  }
  return frames;
}

function frameText(name: string | undefined, index: string): string {
  // V8 puts the module's name before the function's: `module.function`.
  if (name === undefined || name === "") return `wasm-function[${index}]`;
  return `${name.slice(0, NAME_MAX)} [${index}]`;
}
