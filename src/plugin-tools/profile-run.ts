//! Drives requests through one plug-in, one after the other, without sockets.

import { VirtualClock } from "../base/virtual-clock.ts";
import type { GuestProbe } from "../wasm/guest-probe.ts";
import { LoadFault } from "../wasm/fault.ts";
import { Plugin } from "../wasm/plugin.ts";
import { answeringServices, CaseAnswers } from "./case-answers.ts";
import { CaseExchange, START_MS } from "./case-exchange.ts";
import type { CaseGateway, CaseSetting } from "./case-run.ts";
import { servicesOf, settingsOf, withPlugin } from "./case-run.ts";
import type { PluginCase } from "./case-file.ts";

/** Virtual time from one request to the next: timers of the plug-in fire in it. */
const REQUEST_EVERY_MS = 1;

interface ProfiledCase {
  readonly one: PluginCase;
  readonly answers: CaseAnswers;
}

/** Which case's request runs. */
interface Turn {
  current: ProfiledCase;
}

/** A plug-in that has started. Its requests are those of the cases, in turn. */
export class ProfiledPlugin {
  readonly plugin: Plugin;
  readonly #clock: VirtualClock;
  readonly #gateway: CaseGateway;
  readonly #cases: readonly ProfiledCase[];
  readonly #turn: Turn;

  private constructor(
    plugin: Plugin,
    clock: VirtualClock,
    own: { readonly gateway: CaseGateway; readonly cases: readonly ProfiledCase[] },
    turn: Turn,
  ) {
    this.plugin = plugin;
    this.#clock = clock;
    this.#gateway = own.gateway;
    this.#cases = own.cases;
    this.#turn = turn;
  }

  /** A fault: the plug-in does not start, or refuses the configuration of the first case. */
  static start(setting: CaseSetting, probe: GuestProbe | null): ProfiledPlugin | LoadFault {
    const { module, file, gateway } = setting;
    const clock = new VirtualClock(START_MS);
    const cases = file.cases.map((one) => ({ one, answers: new CaseAnswers(one, clock) }));
    const [first] = cases;
    if (first === undefined) return new LoadFault(module.name, "invalid_module", "no case");
    const turn: Turn = { current: first };
    const all = cases.map(({ answers }) => answers);
    const services = {
      ...servicesOf(clock, {
        log: () => undefined,
        ...answeringServices(all, () => turn.current.answers, clock),
      }),
      ...(probe === null ? {} : { probe }),
    };
    const plugin = Plugin.start(module, settingsOf(file, first.one), services);
    if (plugin instanceof LoadFault) return plugin;
    clock.advance(first.one.waitMs);
    const own = { gateway: withPlugin(gateway, plugin), cases };
    return new ProfiledPlugin(plugin, clock, own, turn);
  }

  /** Ends early when the plug-in traps; returns how many requests it has got. */
  run(requests: number): number {
    const clock = this.#clock;
    const settle = (): void => {
      clock.advance(0);
    };
    for (let count = 0; count < requests; count++) {
      const current = this.#cases[count % this.#cases.length];
      if (current === undefined || this.plugin.lastTrap !== null) return count;
      this.#turn.current = current;
      const { one, answers } = current;
      answers.renew();
      new CaseExchange(this.#gateway, one, settle).run(one.request, one.response);
      clock.advance(REQUEST_EVERY_MS);
    }
    return requests;
  }
}
