//! The last lines that each plug-in of this worker logged, kept to be asked for.

/** Of one plug-in. */
export const PLUGIN_LINES_MAX = 1_000;
const PLUGIN_CHARS_MAX = 128 * 1024;
/** Of one line; what is longer is cut. */
export const LINE_CHARS_MAX: number = 8 * 1024;
/** Plug-ins with lines; the one that was heard of first goes. */
const PLUGINS_MAX = 256;

export interface PluginLine {
  /** Counts the lines of this plug-in in this worker, from 1. */
  readonly number: number;
  /** Wall time, milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** 0 trace to 5 critical. */
  readonly level: number;
  readonly rootId: string;
  readonly message: string;
}

interface Ring {
  lines: PluginLine[];
  chars: number;
  lastNumber: number;
}

export class PluginLines {
  readonly #rings = new Map<string, Ring>();

  add(plugin: string, line: Omit<PluginLine, "number">): void {
    const ring = this.#rings.get(plugin) ?? this.#makeRing(plugin);
    const message = cut(line.message);
    ring.lastNumber += 1;
    ring.lines.push({ ...line, message, number: ring.lastNumber });
    ring.chars += message.length;
    while (ring.lines.length > PLUGIN_LINES_MAX || ring.chars > PLUGIN_CHARS_MAX) {
      ring.chars -= ring.lines.shift()?.message.length ?? 0;
    }
  }

  /** The kept lines behind that number, in order. */
  after(plugin: string, number: number): readonly PluginLine[] {
    const lines = this.#rings.get(plugin)?.lines ?? [];
    return number === 0 ? lines : lines.filter((line) => line.number > number);
  }

  #makeRing(plugin: string): Ring {
    if (this.#rings.size >= PLUGINS_MAX) {
      for (const [first] of this.#rings) {
        this.#rings.delete(first);
        break;
      }
    }
    const ring = { lines: [], chars: 0, lastNumber: 0 };
    this.#rings.set(plugin, ring);
    return ring;
  }
}

function cut(message: string): string {
  const rest = message.length - LINE_CHARS_MAX;
  return rest <= 0 ? message : `${message.slice(0, LINE_CHARS_MAX)}… (${rest} more)`;
}
