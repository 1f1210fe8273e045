//! What a walk-through is written in: ask and compare, change something, and say what happened.

import type { Clock } from "../../src/base/clock.ts";
import { Background, askAt } from "./background.ts";
import type { Watched } from "./background.ts";
import { answerText, ask, isAsExpected, questionText } from "./request.ts";
import type { Expected, Question } from "./request.ts";
import type { CommandResult, Stage } from "./stage.ts";

/** A request and what it must be answered in this step. */
export interface Line {
  readonly question: Question;
  readonly expected: Expected;
}

export type Print = (text: string) => void;

const FAILURES_KEPT_MAX = 100;

/** Runs the steps of one example and keeps count. */
export class Script {
  readonly #stage: Stage;
  readonly #print: Print;
  readonly #background: Background;
  readonly #failures: string[] = [];
  #lines: readonly Line[] = [];
  #lineCount = 0;

  constructor(stage: Stage, clock: Clock, print: Print) {
    this.#stage = stage;
    this.#print = print;
    this.#background = new Background(askAt(stage.entry), clock);
  }

  heading(text: string): void {
    this.#print(`\n${text}\n`);
  }

  /** Asks each line `times` over and compares; from now on the background expects these. */
  async expect(lines: readonly Line[], times = 1): Promise<void> {
    this.#lines = lines;
    await this.#background.watch(
      lines.map(({ question, expected }) => watched(question, expected)),
    );
    for (const line of lines) await this.#expectLine(line, times);
  }

  async #expectLine({ question, expected }: Line, times: number): Promise<void> {
    let actual = await ask(this.#stage.entry, question);
    let isRight = isAsExpected(actual, expected);
    for (let turn = 1; turn < times && isRight; turn += 1) {
      actual = await ask(this.#stage.entry, question);
      isRight = isAsExpected(actual, expected);
    }
    const repeated = times > 1 ? `  (${times} times)` : "";
    this.#print(`  ${questionText(question)}${repeated}\n`);
    this.#print(`    expected  ${answerText(expected)}\n`);
    this.#print(`    actual    ${answerText(actual)}  ${isRight ? "✓" : "✗"}\n`);
    this.#count(isRight, `${questionText(question)}: ${answerText(actual)}`);
  }

  /**
   * Changes something while the background goes on asking. Until the status says that the change
   * is everywhere, an answer of before, or one of `between`, is as right as one of after.
   */
  async change(
    after: readonly Line[],
    change: () => Promise<void>,
    between: readonly Line[] = [],
  ): Promise<void> {
    const lines = [...after, ...between, ...this.#lines];
    await this.#background.watch(
      after.map(({ question }) => {
        const same = lines.filter((line) => isSame(line.question, question));
        return watched(question, ...same.map(({ expected }) => expected));
      }),
    );
    await change();
    await this.#stage.settle();
  }

  /** Prints and runs a `graylane` command that must exit 0. */
  async run(...words: string[]): Promise<CommandResult> {
    const shown = words.map((word) => (/[ '"]/.test(word) ? `'${word}'` : word)).join(" ");
    this.#print(`  $ graylane ${shown}\n`);
    const result = await this.#stage.run(words);
    this.#print(result.output.replace(/^(?=.)/gm, "    "));
    if (result.exitCode !== 0) {
      this.#count(false, `graylane ${shown}: exit code ${result.exitCode}`);
    }
    return result;
  }

  /** A claim about something other than an answer. */
  check(claim: string, isSo: boolean): void {
    this.#print(`  ${claim}  ${isSo ? "✓" : "✗"}\n`);
    this.#count(isSo, claim);
  }

  /** Ends the background requests. Returns what was not as expected. */
  async finish(): Promise<readonly string[]> {
    const tally = await this.#background.stop();
    const claim = `${tally.askedCount} requests during the changes, none failed`;
    this.heading("All along");
    this.check(claim, tally.wrongCount === 0 && tally.askedCount > 0);
    for (const wrong of tally.wrong) this.#print(`    ${wrong}\n`);
    const rightCount = this.#lineCount - this.#failures.length;
    this.#print(`\n  ${rightCount} of ${this.#lineCount} lines as expected\n`);
    return this.#failures;
  }

  #count(isRight: boolean, failure: string): void {
    this.#lineCount += 1;
    if (!isRight && this.#failures.length < FAILURES_KEPT_MAX) this.#failures.push(failure);
  }
}

function watched(question: Question, ...allowed: Expected[]): Watched {
  return { question, allowed };
}

function isSame(one: Question, other: Question): boolean {
  return questionText(one) === questionText(other);
}
