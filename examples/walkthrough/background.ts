//! Asks on and on while the configuration changes: no request may fail that need not.

import { delay } from "../../src/base/clock.ts";
import type { Clock } from "../../src/base/clock.ts";
import { answerText, ask, isAsExpected, questionText } from "./request.ts";
import type { Answer, Expected, Question } from "./request.ts";

/** What may be answered at this moment; more than one while a change is on its way. */
export interface Watched {
  readonly question: Question;
  readonly allowed: readonly Expected[];
}

export interface Tally {
  readonly askedCount: number;
  /** The first wrong answers, as text. */
  readonly wrong: readonly string[];
  readonly wrongCount: number;
}

const WRONG_KEPT_MAX = 10;
/** Between two requests: the machine is needed by what is being tried. */
const PAUSE_MS = 4;

export type Ask = (question: Question) => Promise<Answer>;

export class Background {
  readonly #ask: Ask;
  readonly #clock: Clock;
  readonly #wrong: string[] = [];
  #watched: readonly Watched[] = [];
  #askedCount = 0;
  #wrongCount = 0;
  #isStopped = false;
  /** The request under way, judged by what was allowed when it began. */
  #current: Promise<void> = Promise.resolve();
  readonly #loop: Promise<void>;

  constructor(ask: Ask, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
    this.#loop = this.#run();
  }

  /** From now on these; resolves when no request is under way that began under the old ones. */
  async watch(watched: readonly Watched[]): Promise<void> {
    this.#watched = watched;
    await this.#current;
  }

  async stop(): Promise<Tally> {
    this.#isStopped = true;
    await this.#loop;
    return { askedCount: this.#askedCount, wrong: this.#wrong, wrongCount: this.#wrongCount };
  }

  async #run(): Promise<void> {
    for (let index = 0; !this.#isStopped; index += 1) {
      const next = this.#watched[index % Math.max(this.#watched.length, 1)];
      if (next !== undefined) {
        this.#current = this.#check(next);
        await this.#current;
      }
      await delay(this.#clock, PAUSE_MS);
    }
  }

  async #check({ question, allowed }: Watched): Promise<void> {
    const answer = await this.#ask(question);
    this.#askedCount += 1;
    if (allowed.some((expected) => isAsExpected(answer, expected))) return;
    this.#wrongCount += 1;
    if (this.#wrong.length >= WRONG_KEPT_MAX) return;
    this.#wrong.push(`${questionText(question)}: ${answerText(answer)}`);
  }
}

/** Asks a gateway. */
export function askAt(origin: string): Ask {
  return (question) => ask(origin, question);
}
