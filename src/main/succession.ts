//! A hot restart: the program starts itself anew, gives the new process its listening sockets, and
//! ends when that one serves.
//!
//! Node hands sockets only to children, so the first process starts every later one. When it has
//! given its own sockets away it stays, without workers, for whoever waits for it: it passes
//! signals on, and ends as the one that serves does. A later process asks it for its own successor.

import { fork } from "node:child_process";
import type { ChildProcess, SendHandle } from "node:child_process";
import { once } from "node:events";
import { systemClock } from "../base/clock.ts";

/** What Node hands to another process. */
export type ListeningHandle = NonNullable<SendHandle>;
/** Listening sockets by `host:port`, or `ADMIN`. */
export type Handles = ReadonlyMap<string, ListeningHandle>;

export const ADMIN = "admin";
/** Set for a process that takes over. */
const TAKES_OVER_VARIABLE = "GRAYLANE_TAKES_OVER";
/** A new process serves after this, or is ended. */
const READY_MS_MAX = 120_000;
const TERMINATED_CODE = 1;

type ToSuccessor =
  | { readonly type: "listener"; readonly name: string }
  | { readonly type: "begin" }
  | { readonly type: "succeeded"; readonly failure: string | null };

type FromSuccessor =
  | { readonly type: "ready" }
  | { readonly type: "listener"; readonly name: string }
  | { readonly type: "restart" };

/** Starts the process that is to take over. */
export interface Succession {
  /** Null: another process serves with these sockets. Else why not, and nothing has changed. */
  start(handles: Handles, stopped: AbortSignal): Promise<string | null>;
  /** After that: resolves to the exit code when nobody waits for this process any more. */
  outlive(retired: Promise<void>, stopped: AbortSignal): Promise<number>;
  /** The last thing that is called; returns the exit code. */
  finish(code: number): number;
}

/** Null: this process has opened, or opens, its sockets itself. */
export interface Inheritance extends Succession {
  readonly handles: Handles;
  /** The process that waits for this one has gone. */
  readonly orphaned: AbortSignal;
  ready(): void;
}

/** What an older process left to this one; null: there is none. */
export async function inherit(): Promise<Inheritance | null> {
  const isSuccessor = process.env[TAKES_OVER_VARIABLE] !== undefined;
  // Not for workers of this process.
  Reflect.deleteProperty(process.env, TAKES_OVER_VARIABLE);
  if (!isSuccessor || process.send === undefined) return null;
  const orphaned = new AbortController();
  process.once("disconnect", () => {
    orphaned.abort();
  });
  const handles = new Map<string, ListeningHandle>();
  let answered: ((failure: string | null) => void) | null = null;
  await new Promise<void>((begin) => {
    orphaned.signal.addEventListener("abort", () => {
      begin();
    });
    process.on("message", (message: ToSuccessor, handle: SendHandle) => {
      if (message.type === "listener" && handle !== undefined) handles.set(message.name, handle);
      else if (message.type === "begin") begin();
      else if (message.type === "succeeded") answered?.(message.failure);
    });
  });
  return {
    handles,
    orphaned: orphaned.signal,
    ready: () => process.send?.({ type: "ready" } satisfies FromSuccessor),
    start: (own) =>
      new Promise((resolve) => {
        answered = resolve;
        for (const [name, handle] of own) {
          process.send?.({ type: "listener", name } satisfies FromSuccessor, handle);
        }
        process.send?.({ type: "restart" } satisfies FromSuccessor);
      }),
    outlive: async (retired, stopped) => {
      await Promise.race([retired, aborted(stopped)]);
      return 0;
    },
    finish: (code) => {
      if (process.connected) process.disconnect();
      return code;
    },
  };
}

/** Of the first process: starts the one that comes after whichever serves now. */
export class FirstProcess implements Succession {
  /** The process that serves; null: this one. */
  #current: ChildProcess | null = null;
  #starting: ChildProcess | null = null;
  #onCurrentEnd: (code: number) => void = () => undefined;
  readonly #ended: Promise<number>;

  constructor() {
    this.#ended = new Promise((resolve) => {
      this.#onCurrentEnd = resolve;
    });
  }

  async start(handles: Handles, stopped?: AbortSignal): Promise<string | null> {
    if (this.#starting !== null) return "another restart is under way";
    const child = fork(process.argv[1] ?? "", process.argv.slice(2), {
      env: { ...process.env, [TAKES_OVER_VARIABLE]: "1" },
      execArgv: process.execArgv,
      stdio: ["inherit", "inherit", "inherit", "ipc"],
    });
    this.#starting = child;
    this.#listen(child);
    const kill = (): void => {
      child.kill("SIGKILL");
    };
    stopped?.addEventListener("abort", kill);
    for (const [name, handle] of handles) {
      child.send({ type: "listener", name } satisfies ToSuccessor, handle, () => undefined);
    }
    child.send({ type: "begin" } satisfies ToSuccessor, () => undefined);
    const failure = await readiness(child);
    stopped?.removeEventListener("abort", kill);
    this.#starting = null;
    if (failure === null) this.#serves(child);
    else kill();
    return failure;
  }

  /** What this process is told to do, it tells the one that serves. */
  outlive(_retired: Promise<void>, stopped: AbortSignal): Promise<number> {
    const stop = (): void => {
      this.finish(0);
      this.#current?.kill("SIGTERM");
    };
    if (stopped.aborted) stop();
    stopped.addEventListener("abort", stop);
    return this.#ended;
  }

  finish(code: number): number {
    this.#starting?.kill("SIGKILL");
    return code;
  }

  #serves(child: ChildProcess): void {
    if (this.#current === null) {
      process.on("SIGUSR2", () => this.#current?.kill("SIGUSR2"));
    }
    this.#current = child;
  }

  #listen(child: ChildProcess): void {
    const handles = new Map<string, ListeningHandle>();
    child.on("message", (message, handle) => {
      const told = message as FromSuccessor;
      if (told.type === "listener" && handle !== undefined) handles.set(told.name, handle);
      if (told.type === "restart") void this.#succeed(child, new Map(handles));
    });
    child.on("exit", (code) => {
      if (this.#current === child) this.#onCurrentEnd(code ?? TERMINATED_CODE);
    });
  }

  async #succeed(before: ChildProcess, handles: Handles): Promise<void> {
    const failure = await this.start(handles);
    closeAll(handles);
    if (!before.connected) return;
    before.send({ type: "succeeded", failure } satisfies ToSuccessor, () => undefined);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Null when it serves; else why it does not. */
function readiness(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    const late = systemClock.after(READY_MS_MAX, () => {
      resolve(`the new process was not ready after ${READY_MS_MAX} ms`);
    });
    const end = (failure: string | null): void => {
      late.cancel();
      resolve(failure);
    };
    child.on("message", (message) => {
      if ((message as FromSuccessor).type === "ready") end(null);
    });
    child.once("exit", (code, signal) => {
      end(`the new process ended with ${signal ?? `code ${code ?? 0}`}; its own words say why`);
    });
    child.once("error", (error) => {
      end(`the new process could not be started: ${error.message}`);
    });
  });
}

/** Of sockets that have been given to somebody else: they go on there. */
export function closeAll(handles: Handles): void {
  for (const handle of handles.values()) closeHandle(handle);
}

export function closeHandle(handle: ListeningHandle): void {
  const close: unknown = Reflect.get(handle, "close");
  if (typeof close === "function") Reflect.apply(close, handle, []);
}
