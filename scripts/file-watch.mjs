// Knows which test files run, and ends those that take too long, with all that they started.
//
// The runner of Node has a time limit of its own: it names the test. But it waits on for a process
// whose code never gives way, or that left others behind.

import { readFileSync, readdirSync } from "node:fs";

const LOOK_EVERY_MS = 1_000;

export class FileWatch {
  #startsMs = new Map();

  constructor(limitMs) {
    setInterval(() => this.#endLate(limitMs), LOOK_EVERY_MS).unref();
  }

  get running() {
    return [...this.#startsMs.keys()];
  }

  begin(path) {
    this.#startsMs.set(path, performance.now());
  }

  end(path) {
    this.#startsMs.delete(path);
  }

  #endLate(limitMs) {
    for (const [path, startMs] of this.#startsMs) {
      if (performance.now() - startMs > limitMs) killWithChildren(processes(), path);
    }
  }
}

/** Of Linux; elsewhere there are none to be seen, and the runner's own limit has to do. */
function processes() {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap(readProcess);
  } catch {
    return [];
  }
}

function readProcess(pid) {
  try {
    const [, parent] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return [{ pid: Number(pid), parent: Number(parent), words }];
  } catch {
    // It has ended.
    return [];
  }
}

function killWithChildren(all, path) {
  const kill = ({ pid }) => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    all.filter(({ parent }) => parent === pid).forEach(kill);
  };
  all.filter(({ parent, words }) => parent === process.pid && words.includes(path)).forEach(kill);
}
