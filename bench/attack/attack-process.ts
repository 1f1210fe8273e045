//! Attackers in a process of their own, on the load core, that give way to whoever is measured.

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

/** Upstream and measuring client, which share the core, go first. */
export const ATTACKERS_NICENESS = 10;

/** Runs `dist/bench/attack/NAME.js`, which answers an order once it attacks, null with a report. */
export class AttackProcess<Order, Report> {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when the attack runs. */
  static async start<Order, Report>(
    name: string,
    order: Order,
  ): Promise<AttackProcess<Order, Report>> {
    const child = fork(resolve("dist", "bench", "attack", `${name}.js`));
    const attack = new AttackProcess<Order, Report>(child);
    await attack.#ask(order);
    return attack;
  }

  /** What came of it so far; the process ends. */
  async end(): Promise<Report> {
    return (await this.#ask(null)) as Report;
  }

  async #ask(order: Order | null): Promise<unknown> {
    const answered = once(this.#child, "message");
    const failed = once(this.#child, "exit").then(() => {
      throw new Error("the attackers' process has ended");
    });
    failed.catch(() => undefined);
    this.#child.send(order as never);
    const [answer] = (await Promise.race([answered, failed])) as [unknown];
    return answer;
  }
}
