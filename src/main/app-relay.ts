//! Apps of pods whose process is the first one of all, while another looks after them: what one
//! asks and the other tells, over the channel between parent and child.
//!
//! Output goes chunk by chunk, each when the one before has been taken: a reader that is slow slows
//! the app, and nobody keeps more than a chunk.

import type { ChildProcess } from "node:child_process";
import { PassThrough } from "node:stream";
import type { AppHost, HeldApp } from "../local/app-keeper.ts";
import type { AppCommand, AppExit } from "../local/app-process.ts";

const OUTPUTS = ["stdout", "stderr"] as const;
type Output = (typeof OUTPUTS)[number];

/** `ref`: a number of the asking process's own. */
type Ask =
  | { readonly type: "appLaunch"; readonly ref: number; readonly command: AppCommand }
  | { readonly type: "appAttach"; readonly ref: number; readonly pid: number }
  | { readonly type: "appSignal"; readonly ref: number; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly type: "appLetGo"; readonly ref: number }
  /** Wants no more of this output. */
  | { readonly type: "appDeaf"; readonly ref: number; readonly output: Output }
  | { readonly type: "appTaken"; readonly ref: number; readonly output: Output };

type Tell =
  | { readonly type: "appRuns"; readonly ref: number; readonly pid: number }
  | {
      readonly type: "appOutput";
      readonly ref: number;
      readonly output: Output;
      readonly base64: string;
    }
  | { readonly type: "appOutputEnd"; readonly ref: number; readonly output: Output }
  | { readonly type: "appExited"; readonly ref: number; readonly exit: AppExit };

interface Served {
  readonly app: HeldApp;
  /** Started for whoever asked, and not let go by another before. */
  readonly isNew: boolean;
  isLetGo: boolean;
  readonly taken: Record<Output, () => void>;
}

/** In the first process: does what `child` asks. */
export function serveApps(child: ChildProcess, apps: AppHost): void {
  const served = new Map<number, Served>();
  const tell = (message: Tell): void => {
    if (child.connected) child.send(message, () => undefined);
  };
  child.on("message", (message) => {
    const ask = message as Ask;
    if (ask.type === "appLaunch" || ask.type === "appAttach") {
      const app = ask.type === "appLaunch" ? apps.launch(ask.command) : apps.attach(ask.pid);
      const taken = { stdout: () => undefined, stderr: () => undefined };
      const isNew = ask.type === "appLaunch";
      const one: Served = { app, isNew, isLetGo: false, taken };
      served.set(ask.ref, one);
      serveApp(ask.ref, one, { tell, onEnd: () => served.delete(ask.ref) });
      return;
    }
    const one = "ref" in ask ? served.get(ask.ref) : undefined;
    if (one === undefined) return;
    if (ask.type === "appSignal") one.app.signal(ask.signal);
    else if (ask.type === "appDeaf") {
      one.app[ask.output].destroy();
      one.taken[ask.output]();
    } else if (ask.type === "appTaken") one.taken[ask.output]();
    else {
      one.isLetGo = true;
      one.app.letGo();
    }
  });
  child.once("exit", () => {
    for (const { app, isNew, isLetGo } of served.values()) {
      if (isLetGo) continue;
      // Whoever had the others before may want them back.
      if (isNew) app.signal("SIGKILL");
      app.letGo();
    }
    served.clear();
  });
}

function serveApp(
  ref: number,
  one: Served,
  { tell, onEnd }: { readonly tell: (message: Tell) => void; readonly onEnd: () => void },
): void {
  const { app } = one;
  tell({ type: "appRuns", ref, pid: app.pid });
  const outputs = OUTPUTS.map(async (output) => {
    try {
      for await (const chunk of app[output]) {
        const taken = new Promise<void>((resolve) => {
          one.taken[output] = resolve;
        });
        tell({ type: "appOutput", ref, output, base64: (chunk as Buffer).toString("base64") });
        await taken;
      }
    } catch {
      // Somebody wants no more of it.
    }
    tell({ type: "appOutputEnd", ref, output });
  });
  const exited = app.exited.then((exit) => {
    if (!one.isLetGo) tell({ type: "appExited", ref, exit });
  });
  void Promise.all([...outputs, exited]).then(onEnd);
}

interface Followed {
  pid: number;
  /** Both outputs, and then its end or that it is let go. */
  awaitedCount: number;
  readonly streams: Record<Output, PassThrough>;
  readonly exit: (exit: AppExit) => void;
}

/** In a later process: apps that run as children of the first. */
export class RelayedApps implements AppHost {
  readonly #apps = new Map<number, Followed>();
  readonly #send: (message: Ask) => void;
  #lastRef = 0;

  constructor(channel: {
    send(message: object): void;
    onMessage(listener: (message: unknown) => void): void;
  }) {
    this.#send = (message) => {
      channel.send(message);
    };
    channel.onMessage((message) => {
      this.#onTell(message as Tell);
    });
  }

  launch(command: AppCommand): HeldApp {
    return this.#follow((ref) => ({ type: "appLaunch", ref, command }));
  }

  attach(pid: number): HeldApp {
    return this.#follow((ref) => ({ type: "appAttach", ref, pid }));
  }

  #follow(ask: (ref: number) => Ask): HeldApp {
    const ref = ++this.#lastRef;
    const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
    let exit: (exit: AppExit) => void = () => undefined;
    const exited = new Promise<AppExit>((resolve) => (exit = resolve));
    const followed: Followed = { pid: 0, awaitedCount: 3, streams, exit };
    this.#apps.set(ref, followed);
    for (const output of OUTPUTS) {
      streams[output].once("close", () => {
        this.#send({ type: "appDeaf", ref, output });
      });
    }
    this.#send(ask(ref));
    return {
      get pid() {
        return followed.pid;
      },
      stdout: streams.stdout,
      stderr: streams.stderr,
      exited,
      signal: (signal) => {
        this.#send({ type: "appSignal", ref, signal });
      },
      letGo: () => {
        this.#send({ type: "appLetGo", ref });
        this.#came(ref);
      },
    };
  }

  #came(ref: number): void {
    const app = this.#apps.get(ref);
    if (app === undefined) return;
    app.awaitedCount -= 1;
    if (app.awaitedCount === 0) this.#apps.delete(ref);
  }

  #onTell(tell: Tell): void {
    const app = "ref" in tell ? this.#apps.get(tell.ref) : undefined;
    if (app === undefined) return;
    const { ref } = tell;
    if (tell.type === "appRuns") app.pid = tell.pid;
    else if (tell.type === "appExited") {
      app.exit(tell.exit);
      this.#came(ref);
    } else if (tell.type === "appOutputEnd") {
      app.streams[tell.output].end();
      this.#came(ref);
    } else {
      const { output, base64 } = tell;
      const take = (): void => {
        this.#send({ type: "appTaken", ref, output });
      };
      const stream = app.streams[output];
      if (stream.write(Buffer.from(base64, "base64"))) take();
      else stream.once("drain", take);
    }
  }
}
