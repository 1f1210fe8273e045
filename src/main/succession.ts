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
/** Listening sockets by `host:port`, or `ADMIN`, or `API`. */
export type Handles = ReadonlyMap<string, ListeningHandle>;

export const ADMIN = "admin";
export const API = "api";
/** Set for a process that takes over. */
const TAKES_OVER_VARIABLE = "GRAYLANE_TAKES_OVER";
/** A new process serves after this, or is ended. */
const READY_MS_MAX = 120_000;
/** After it has given up, a new process has this long to end by itself. */
const GIVEN_UP_MS = 1_000;
const TERMINATED_CODE = 1;

type ToSuccessor =
  | { readonly type: "listener"; readonly name: string }
  | { readonly type: "begin"; readonly state?: unknown }
  /** To the process before: its successor can go on. */
  | { readonly type: "letGo" }
  /** Nothing runs in the process before any more. */
  | { readonly type: "retired" }
  | { readonly type: "succeeded"; readonly failure: string | null };

type FromSuccessor =
  | { readonly type: "ready" }
  /** All that needs nothing of the process before has been done. */
  | { readonly type: "prepared" }
  | { readonly type: "listener"; readonly name: string }
  | { readonly type: "restart" }
  /** After `letGo`; with a failure it has kept all. */
  | { readonly type: "released"; readonly state: unknown; readonly failure: string | null };

/** What a process leaves to the one after it. */
export interface Legacy {
  readonly handles: Handles;
  /** Names of those that are in use here until another process serves. Absent: none. */
  readonly inUse?: ReadonlySet<string>;
  /** Plain data. */
  readonly state: unknown;
}

/** Lets go of what only one process may have. A rejection says why that cannot be. */
export type LetGo = () => Promise<Legacy>;

/** Starts the process that is to take over. */
export interface Succession {
  /**
   * Null: another process serves. Else why not, and that process has ended. `letGo` is asked when
   * the new process can go on; what it has let go is the caller's again after a failure.
   */
  start(letGo: LetGo, stopped: AbortSignal): Promise<string | null>;
  /** After that: resolves to the exit code when nobody waits for this process any more. */
  outlive(retired: Promise<unknown>, stopped: AbortSignal): Promise<number>;
  /** The last thing that is called; returns the exit code. */
  finish(code: number): number;
}

export interface Channel {
  send(message: object): void;
  onMessage(listener: (message: unknown) => void): void;
}

/** Null: this process has opened, or opens, its sockets itself. */
export interface Inheritance extends Succession {
  /** Resolves when the process before has let go; rejects when that one keeps all. */
  take(): Promise<Legacy>;
  /** Resolves when nothing runs in the process before any more. */
  readonly retired: Promise<void>;
  /** The process that waits for this one has gone. */
  readonly orphaned: AbortSignal;
  /** To the first process, for whatever else it does. */
  readonly channel: Channel;
  ready(): void;
}

/** What an older process left to this one; null: there is none. */
export function inherit(): Inheritance | null {
  const isSuccessor = process.env[TAKES_OVER_VARIABLE] !== undefined;
  // Not for workers of this process.
  Reflect.deleteProperty(process.env, TAKES_OVER_VARIABLE);
  if (!isSuccessor || process.send === undefined) return null;
  const orphaned = new AbortController();
  process.once("disconnect", () => {
    orphaned.abort();
  });
  return {
    ...follow(orphaned.signal),
    orphaned: orphaned.signal,
    channel: {
      send: (message) => {
        if (process.connected) process.send?.(message);
      },
      onMessage: (listener) => {
        process.on("message", listener);
      },
    },
    ready: () => process.send?.({ type: "ready" } satisfies FromSuccessor),
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

/** The successor's end of its talk with the first process. */
function follow(orphaned: AbortSignal): Pick<Inheritance, "take" | "start" | "retired"> {
  const tell = (message: FromSuccessor, handle?: ListeningHandle): void => {
    process.send?.(message, handle);
  };
  const handles = new Map<string, ListeningHandle>();
  let begin: (legacy: Legacy) => void = () => undefined;
  let answered: (failure: string | null) => void = () => undefined;
  let letGo: LetGo | null = null;
  let retire: () => void = () => undefined;
  const retired = new Promise<void>((resolve) => (retire = resolve));
  const release = async (): Promise<void> => {
    try {
      const legacy = await (letGo ?? nothingLeft)();
      for (const [name, handle] of legacy.handles) tell({ type: "listener", name }, handle);
      tell({ type: "released", state: legacy.state, failure: null });
    } catch (error) {
      tell({ type: "released", state: null, failure: messageOf(error) });
    }
  };
  process.on("message", (message: ToSuccessor, handle: SendHandle) => {
    if (message.type === "listener" && handle !== undefined) handles.set(message.name, handle);
    else if (message.type === "begin") begin({ handles, state: message.state });
    else if (message.type === "letGo") void release();
    else if (message.type === "retired") retire();
    else if (message.type === "succeeded") answered(message.failure);
  });
  return {
    retired,
    take: () =>
      new Promise((resolve, reject) => {
        begin = resolve;
        const gone = (): void => {
          reject(new Error("the process before has gone"));
        };
        if (orphaned.aborted) gone();
        orphaned.addEventListener("abort", gone);
        tell({ type: "prepared" });
      }),
    start: (own) =>
      new Promise((resolve) => {
        answered = resolve;
        letGo = own;
        tell({ type: "restart" });
      }),
  };
}

function nothingLeft(): Promise<Legacy> {
  return Promise.resolve({ handles: new Map(), state: null });
}

/** Of the first process: starts the one that comes after whichever serves now. */
export class FirstProcess implements Succession {
  /** The process that serves; null: this one. */
  #current: ChildProcess | null = null;
  #starting: ChildProcess | null = null;
  /** With those that only end what they have begun. */
  readonly #running = new Set<ChildProcess>();
  #onCurrentEnd: (code: number) => void = () => undefined;
  readonly #ended: Promise<number>;
  /** Serves what successors ask beside this. */
  readonly #serve: (child: ChildProcess) => void;

  constructor(serve: (child: ChildProcess) => void = () => undefined) {
    this.#serve = serve;
    this.#ended = new Promise((resolve) => {
      this.#onCurrentEnd = resolve;
    });
  }

  async start(letGo: LetGo, stopped?: AbortSignal): Promise<string | null> {
    if (this.#starting !== null) return "another restart is under way";
    const child = fork(process.argv[1] ?? "", process.argv.slice(2), {
      env: { ...process.env, [TAKES_OVER_VARIABLE]: "1" },
      execArgv: process.execArgv,
      stdio: ["inherit", "inherit", "inherit", "ipc"],
    });
    this.#starting = child;
    this.#listen(child);
    this.#serve(child);
    const kill = (): void => {
      child.kill("SIGKILL");
    };
    stopped?.addEventListener("abort", kill);
    const failure = await readiness(child, letGo);
    stopped?.removeEventListener("abort", kill);
    this.#starting = null;
    if (failure === null) this.#serves(child);
    else await ended(child);
    return failure;
  }

  /** What this process is told to do, it tells the one that serves. */
  outlive(retired: Promise<unknown>, stopped: AbortSignal): Promise<number> {
    const child = this.#current;
    void retired.then(() => {
      if (child !== null) send(child, { type: "retired" });
    });
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
    const left: Left = { handles: new Map(), answer: () => undefined, successor: null };
    child.on("message", (message, handle) => {
      const told = message as FromSuccessor;
      if (told.type === "listener" && handle !== undefined) left.handles.set(told.name, handle);
      else if (told.type === "released") left.answer(told);
      else if (told.type === "restart") void this.#succeed(child, left);
    });
    this.#running.add(child);
    child.on("exit", (code) => {
      this.#running.delete(child);
      if (this.#current === child) {
        // Nobody waits for what those before it have begun.
        for (const other of this.#running) other.kill("SIGTERM");
        this.#onCurrentEnd(code ?? TERMINATED_CODE);
      } else if (left.successor !== null) {
        send(left.successor, { type: "retired" });
      }
    });
  }

  async #succeed(before: ChildProcess, left: Left): Promise<void> {
    const failure = await this.start(() => {
      left.handles = new Map();
      return new Promise((resolve, reject) => {
        left.answer = ({ state, failure: why }) => {
          if (why === null) resolve({ handles: left.handles, state });
          else reject(new Error(why));
        };
        before.once("exit", () => {
          reject(new Error("the process before has gone"));
        });
        send(before, { type: "letGo" });
      });
    });
    closeAll(left.handles);
    if (failure === null) left.successor = this.#current;
    send(before, { type: "succeeded", failure });
  }
}

/** What a process leaves, and to whom. */
interface Left {
  handles: Map<string, ListeningHandle>;
  answer: Released;
  successor: ChildProcess | null;
}

type Released = (told: Extract<FromSuccessor, { readonly type: "released" }>) => void;

function send(child: ChildProcess, message: ToSuccessor, handle?: ListeningHandle): void {
  if (child.connected) child.send(message, handle, () => undefined);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Null when it serves; else why it does not. */
function readiness(child: ChildProcess, letGo: LetGo): Promise<string | null> {
  return new Promise((resolve) => {
    const late = systemClock.after(READY_MS_MAX, () => {
      resolve(`the new process was not ready after ${READY_MS_MAX} ms`);
    });
    const end = (failure: string | null): void => {
      late.cancel();
      resolve(failure);
    };
    const give = async (): Promise<void> => {
      try {
        const { handles, state } = await letGo();
        for (const [name, handle] of handles) send(child, { type: "listener", name }, handle);
        send(child, { type: "begin", state });
      } catch (error) {
        end(`this process could not let go: ${messageOf(error)}`);
      }
    };
    child.on("message", (message) => {
      const { type } = message as FromSuccessor;
      if (type === "prepared") void give();
      else if (type === "ready") end(null);
    });
    child.once("exit", (code, signal) => {
      end(`the new process ended with ${signal ?? `code ${code ?? 0}`}; its own words say why`);
    });
    child.once("disconnect", () => {
      // It has given up, and may need a while to end.
      systemClock.after(GIVEN_UP_MS, () => {
        end("the new process gave up; its own words say why");
      });
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
