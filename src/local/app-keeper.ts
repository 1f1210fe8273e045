//! Holds the processes of apps for whoever looks after them, so that it can change who that is:
//! in a hot restart a new process takes the pods over, and their apps notice nothing.

import { PassThrough } from "node:stream";
import type { Readable } from "node:stream";
import { launchApp } from "./app-process.ts";
import type { AppCommand, AppProcess } from "./app-process.ts";

/** Where apps are started, and where those that run already are found again. */
export interface AppHost {
  launch(command: AppCommand): HeldApp;
  /** Of an app that another one has let go; one that is not known has ended, it says. */
  attach(pid: number): HeldApp;
}

export interface HeldApp extends AppProcess {
  /** Its output ends here, and what comes from now on is for whoever attaches next. */
  letGo(): void;
}

/** Of an app that nobody knows. */
const UNKNOWN_EXIT = { code: null, signal: "unknown" } as const;

export class AppKeeper implements AppHost {
  readonly #apps = new Map<number, AppProcess>();

  launch(command: AppCommand): HeldApp {
    const app = launchApp(command);
    this.#apps.set(app.pid, app);
    return this.#hold(app);
  }

  attach(pid: number): HeldApp {
    const app = this.#apps.get(pid);
    return app === undefined ? endedApp(pid) : this.#hold(app);
  }

  #hold(app: AppProcess): HeldApp {
    const outputs = [passOn(app.stdout), passOn(app.stderr)] as const;
    const held = { isLetGo: false };
    const exited = app.exited.then((exit) => {
      // Nobody asks for it again: its end has been told.
      if (!held.isLetGo) this.#apps.delete(app.pid);
      return exit;
    });
    return {
      pid: app.pid,
      stdout: outputs[0].stream,
      stderr: outputs[1].stream,
      exited,
      signal: (signal) => {
        app.signal(signal);
      },
      letGo: () => {
        held.isLetGo = true;
        for (const output of outputs) output.letGo();
      },
    };
  }
}

export function endedApp(pid: number): HeldApp {
  return {
    pid,
    stdout: new PassThrough().end(),
    stderr: new PassThrough().end(),
    exited: Promise.resolve(UNKNOWN_EXIT),
    signal: () => undefined,
    letGo: () => undefined,
  };
}

/** What has been read comes out of `stream`, also after `letGo`; the rest stays in `source`. */
function passOn(source: Readable): { readonly stream: Readable; letGo(): void } {
  const stream = new PassThrough();
  let isLetGo = false;
  stream.once("close", () => {
    // Whoever has this output wants no more of it: a stray child of the app may hold it open.
    if (!isLetGo) source.destroy();
  });
  if (source.readableEnded || source.destroyed) stream.end();
  else source.pipe(stream);
  return {
    stream,
    letGo: () => {
      isLetGo = true;
      source.unpipe(stream);
      stream.end();
    },
  };
}
