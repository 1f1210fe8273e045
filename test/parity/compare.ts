//! Puts both engines into one state, asks them the same, and demands the same of them.

import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Resource } from "../../src/resources/object.ts";
import { KINDS } from "../support/graylane.ts";
import type { ParityCase, ParityGroup, Refused, Want } from "./case.ts";
import type { Engine } from "./engine.ts";
import { comparable, hopsText, outcomeOf } from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import type { Question } from "./question.ts";
import { LANE_HEADER, WORKLOADS, deployment } from "./topology.ts";

const EVENTUAL_MS_MAX = 10_000;
const PAUSE_MS = 50;
const OK = 200;

export class Pair {
  readonly embedded: Engine;
  readonly envoy: Engine;
  /** What is applied beside the topology, as JSON. */
  #applied = new Map<string, { readonly object: Resource; readonly text: string }>();
  #replicas: Readonly<Record<string, number>> = {};

  constructor(embedded: Engine, envoy: Engine) {
    this.embedded = embedded;
    this.envoy = envoy;
  }

  get engines(): readonly Engine[] {
    return [this.embedded, this.envoy];
  }

  /** Resolves when both run these objects and no others, and those pods. */
  async configure(group: Partial<ParityGroup>): Promise<void> {
    if (group.isFresh === true) await this.configure({ objects: [] });
    const { objects, replicas = {}, prepare } = group;
    const wanted = new Map<string, { readonly object: Resource; readonly text: string }>();
    for (const object of objects ?? []) {
      wanted.set(keyOf(object), { object, text: JSON.stringify(object) });
    }
    const written = [...wanted]
      .filter(([key, { text }]) => this.#applied.get(key)?.text !== text)
      .map(([, { object }]) => object);
    const removed = [...this.#applied]
      .filter(([key]) => !wanted.has(key))
      .map(([, { object }]) => object);
    const scaled = WORKLOADS.filter(
      ({ name }) => (replicas[name] ?? 1) !== (this.#replicas[name] ?? 1),
    ).map((workload) => deployment(workload, replicas[workload.name] ?? 1));
    const hasPods = [...written, ...removed].some(({ kind }) => kind === "Deployment");
    this.#applied = wanted;
    this.#replicas = replicas;
    await Promise.all(
      this.engines.map(async (engine) => {
        await engine.change([...written, ...scaled], removed);
        if (hasPods || scaled.length > 0) await engine.settle();
        await prepare?.(engine);
      }),
    );
  }

  /** Demands what the case wants of both, and that both say the same in all else. */
  async check(one: ParityCase): Promise<void> {
    const endMs = performance.now() + EVENTUAL_MS_MAX;
    for (;;) {
      try {
        await this.#checkOnce(one);
        return;
      } catch (error) {
        if (one.isEventual !== true || performance.now() > endMs) throw error;
        await sleep(PAUSE_MS);
      }
    }
  }

  /** The refusal is on the object, in the engine of Envoys. */
  async checkRefused({ kind, name, says }: Refused): Promise<void> {
    const { graylane } = this.envoy;
    let status = "";
    await graylane.until(
      () => `${kind} ${name} says ${String(says)}, but: ${status}`,
      async () => {
        const { client } = graylane;
        status = JSON.stringify((await client.get(KINDS[kind], "default", name)).status ?? {});
        return status.includes("GL0701") && says.test(status);
      },
    );
  }

  async #checkOnce({ ask, want, onEnvoy }: ParityCase): Promise<void> {
    const [embedded, envoy] = await Promise.all([
      outcomeOfLast(this.embedded, ask),
      outcomeOfLast(this.envoy, ask),
    ]);
    demand(embedded, want, "embedded");
    demand(envoy, onEnvoy ?? want, "envoy");
    if (onEnvoy === undefined) assert.deepEqual(comparable(envoy), comparable(embedded));
    else assert.notDeepEqual(comparable(envoy), comparable(embedded), "they differ no more");
  }
}

async function outcomeOfLast(
  engine: Engine,
  ask: Question | readonly Question[],
): Promise<Outcome> {
  const questions: readonly Question[] = Array.isArray(ask) ? ask : [ask as Question];
  let answer = await engine.ask(questions[0] ?? {});
  for (const question of questions.slice(1)) answer = await engine.ask(question);
  return outcomeOf(answer);
}

function demand(outcome: Outcome, want: Want, who: string): void {
  const what = `${who}: ${JSON.stringify(outcome)}`;
  const [first] = outcome.hops;
  const found: Readonly<Record<string, unknown>> = {
    status: outcome.status,
    hops: hopsText(outcome),
    lanes: lanesText(outcome),
    path: first?.path,
    host: first?.headers.host,
    method: first?.method,
    body: first?.body,
    text: outcome.text,
  };
  for (const [name, value] of Object.entries({ status: OK, ...want })) {
    if (value instanceof RegExp) assert.match(String(found[name]), value, what);
    else if (typeof value !== "object") assert.equal(found[name], value, `${name} of ${what}`);
  }
  demandFields(first?.headers ?? {}, want.seen ?? {}, what);
  demandFields(outcome.headers, want.headers ?? {}, what);
}

function demandFields(
  found: IncomingHttpHeaders,
  want: Readonly<Record<string, string | null>>,
  what: string,
): void {
  for (const [name, value] of Object.entries(want)) {
    assert.equal(String(found[name] ?? null), String(value), `${name} of ${what}`);
  }
}

function lanesText({ hops }: Outcome): string {
  return hops.map(({ headers }) => String(headers[LANE_HEADER] ?? "-")).join(" ");
}

function keyOf({ kind, metadata }: Resource): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
}
