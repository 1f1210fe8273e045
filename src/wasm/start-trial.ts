//! Starts a plug-in in a VM that is thrown away: whether it would start, and how long it would hold
//! up whoever starts it.

import { runInTurns } from "../base/steps.ts";
import type { Steps } from "../base/steps.ts";
import { LoadFault } from "./fault.ts";
import { systemGuestTime } from "./fuel/gauge.ts";
import type { GuestTime } from "./fuel/gauge.ts";
import type { PluginModule } from "./module.ts";
import { RootContext } from "./root-context.ts";
import type { PluginSettings } from "./root-context.ts";
import { startVm } from "./vm.ts";
import type { PluginServices, VmSettings } from "./vm.ts";

/** The longest that a part of a start may hold up a worker that serves. */
export const LONG_START_MS = 50;

export interface StartTrial {
  /** Of the parts of a start, between which others have their turn, the longest. */
  readonly longestMs: number;
  /** Null: it starts. */
  readonly fault: LoadFault | null;
}

/** The parts of a start: the instance, the start function, and the configuration. */
export function* trialSteps(
  module: PluginModule,
  settings: PluginSettings & VmSettings,
  services: PluginServices,
): Steps<LoadFault | null> {
  const vm = yield* startVm(module, settings, services);
  if (vm instanceof LoadFault) return vm;
  yield;
  const root = RootContext.create(vm, settings);
  if (root instanceof LoadFault) return root;
  root.cancelTick();
  return null;
}

/** `services` should be of the trial's own: what the guest does in them is not taken back. */
export async function tryStart(
  module: PluginModule,
  settings: PluginSettings & VmSettings,
  services: PluginServices,
): Promise<StartTrial> {
  const time = services.guestTime ?? systemGuestTime;
  let longestMs = 0;
  const steps = timedSteps(trialSteps(module, settings, services), time, (tookMs) => {
    longestMs = Math.max(longestMs, tookMs);
  });
  const fault = await runInTurns(steps);
  return { longestMs, fault };
}

/** The same steps; `onStep` is told how long each has held up this process. */
export function* timedSteps<Result>(
  steps: Steps<Result>,
  time: GuestTime,
  onStep: (tookMs: number) => void,
): Steps<Result> {
  for (;;) {
    const [wallMs, cpuMs] = [time.wallMs(), time.cpuMs()];
    const { done, value } = steps.next();
    // The one counts what others take from this process, the other what its compiler uses.
    onStep(Math.min(time.wallMs() - wallMs, time.cpuMs() - cpuMs));
    if (done === true) return value;
    yield;
  }
}
