//! Starts a plug-in in a VM that is thrown away: whether it would start, and how long it would hold
//! up whoever starts it.

import { nextTurn } from "../base/steps.ts";
import type { Steps } from "../base/steps.ts";
import { LoadFault } from "./fault.ts";
import { systemGuestTime } from "./fuel/gauge.ts";
import type { PluginModule } from "./module.ts";
import { RootContext } from "./root-context.ts";
import type { PluginSettings } from "./root-context.ts";
import { startVm } from "./vm.ts";
import type { PluginServices, VmSettings } from "./vm.ts";

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
  const steps = trialSteps(module, settings, services);
  let longestMs = 0;
  for (;;) {
    const [wallMs, cpuMs] = [time.wallMs(), time.cpuMs()];
    const { done, value } = steps.next();
    // The one counts what others take from this process, the other what its compiler uses.
    const tookMs = Math.min(time.wallMs() - wallMs, time.cpuMs() - cpuMs);
    longestMs = Math.max(longestMs, tookMs);
    if (done === true) return { longestMs, fault: value };
    await nextTurn();
  }
}
