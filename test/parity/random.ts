//! Asks both engines what the generator draws, lets the oracle judge each, and makes what it found
//! small.

import type { Pair } from "./compare.ts";
import type { Engine } from "./engine.ts";
import { Draw, objectsOf, questionOf } from "./generator.ts";
import { judge } from "./oracle.ts";
import { outcomeOf } from "./outcome.ts";
import type { Question } from "./question.ts";
import { LANE_HEADER, LANE_MEMBER, WORKLOADS } from "./topology.ts";
import type { Seen, World, WorldRequest } from "./world.ts";

const REQUESTS_PER_WORLD = 40;
const AT_ONCE = 4;

export interface Difference {
  readonly seed: number;
  readonly world: World;
  readonly request: WorldRequest;
  readonly why: string;
}

export interface Run {
  readonly worlds: number;
  readonly requests: number;
  readonly difference: Difference | null;
}

export interface RunOptions {
  readonly firstSeed: number;
  /** Ends after so many configurations, or when the time is over; the larger counts. */
  readonly worlds: number;
  readonly seconds: number;
}

/** Until the first difference, which comes back as it was drawn. */
export async function runRandom(pair: Pair, options: RunOptions): Promise<Run> {
  const endMs = performance.now() + options.seconds * 1_000;
  let [worlds, requests] = [0, 0];
  while (worlds < options.worlds || performance.now() < endMs) {
    const seed = options.firstSeed + worlds;
    const draw = new Draw(seed);
    const world = draw.world();
    await pair.configure({ objects: objectsOf(world) });
    worlds += 1;
    for (let count = 0; count < REQUESTS_PER_WORLD; count += AT_ONCE) {
      const drawn = Array.from({ length: AT_ONCE }, () => draw.request());
      requests += AT_ONCE;
      const found = await Promise.all(drawn.map((request) => differs(pair, world, request)));
      const index = found.findIndex((why) => why !== null);
      const request = drawn[index];
      const why = found[index];
      if (request !== undefined && typeof why === "string") {
        return { worlds, requests, difference: { seed, world, request, why } };
      }
    }
  }
  return { worlds, requests, difference: null };
}

/** Why the engines and the oracle are not of one mind; null: they are. */
async function differs(pair: Pair, world: World, request: WorldRequest): Promise<string | null> {
  const names = { laneHeader: LANE_HEADER, laneMember: LANE_MEMBER };
  const setting = { world, pods: WORKLOADS, ...names };
  const question = questionOf(request, world.tokens);
  const seen = await Promise.all(pair.engines.map((engine) => ask(engine, question)));
  for (const [index, engine] of pair.engines.entries()) {
    const one = seen[index];
    const wrong = one === undefined ? "no answer" : judge(setting, request, one);
    if (wrong !== null) {
      return `${engine.kind} differs from the oracle: ${wrong}; seen: ${JSON.stringify(seen)}`;
    }
  }
  return null;
}

async function ask(engine: Engine, question: Question): Promise<Seen> {
  const { status, lastStatus, hops } = outcomeOf(await engine.ask(question));
  const told = hops.map(({ name, headers }) => {
    const tag = headers[LANE_HEADER];
    // An empty one names no lane.
    const baggage = headers["baggage"];
    return {
      ...{ name, tag: tag === undefined || tag === "" ? null : String(tag) },
      baggage: baggage === undefined ? null : String(baggage),
    };
  });
  return { status, lastStatus, hops: told };
}

/** A smaller one that still differs. Each configuration costs a change of both engines. */
export async function shrink(
  pair: Pair,
  found: Difference,
  secondsMax: number,
): Promise<Difference> {
  const endMs = performance.now() + secondsMax * 1_000;
  let best = found;
  let isSmaller = true;
  while (isSmaller && performance.now() < endMs) {
    isSmaller = false;
    for (const candidate of smaller(best)) {
      if (performance.now() >= endMs) break;
      const { world, request } = candidate;
      await pair.configure({ objects: objectsOf(world) });
      const why = await differs(pair, world, request);
      if (why === null) continue;
      best = { ...best, world, request, why };
      isSmaller = true;
      break;
    }
  }
  return best;
}

type Candidate = Pick<Difference, "world" | "request">;

/** Requests first: they need no change, as the configuration is the one that is there. */
function* smaller({ world, request }: Candidate): Generator<Candidate> {
  for (const index of request.hops.keys()) {
    yield { world, request: { ...request, hops: request.hops.toSpliced(index, 1) } };
  }
  for (const index of request.headers.keys()) {
    yield { world, request: { ...request, headers: request.headers.toSpliced(index, 1) } };
  }
  if (request.token !== null) yield { world, request: { ...request, token: null } };
  for (const index of request.baggage.keys()) {
    yield { world, request: { ...request, baggage: request.baggage.toSpliced(index, 1) } };
  }
  const [path = "/"] = request.path.split("?");
  if (path !== request.path) yield { world, request: { ...request, path } };
  for (const one of smallerWorlds(world)) yield { world: one, request };
}

function* smallerWorlds(world: World): Generator<World> {
  const { lanes, routes } = world;
  for (const [index, { name }] of lanes.entries()) {
    const isNamed =
      routes.some(({ target, fallback }) => target?.lane === name || fallback?.lane === name) ||
      lanes.some(({ parent }) => parent === name);
    if (!isNamed) yield { ...world, lanes: lanes.toSpliced(index, 1) };
  }
  for (const index of routes.keys()) {
    if (routes.length > 1) yield { ...world, routes: routes.toSpliced(index, 1) };
  }
  yield* withSimplerGroup(world);
  yield* withSimplerLanes(world);
  for (const [index, one] of routes.entries()) {
    if (one.fallback !== null) {
      yield { ...world, routes: routes.with(index, { ...one, fallback: null }) };
    }
  }
}

function* withSimplerGroup(world: World): Generator<World> {
  if (world.strictService !== null) yield { ...world, strictService: null };
  if (world.accepts) yield { ...world, accepts: false };
  if (world.isolated) yield { ...world, isolated: false };
  if (world.tokens !== null) yield { ...world, tokens: null };
  if (world.mode === "baggage") yield { ...world, mode: "header" };
}

function* withSimplerLanes(world: World): Generator<World> {
  for (const [index, one] of world.lanes.entries()) {
    const without = (more: Partial<typeof one>): World => ({
      ...world,
      lanes: world.lanes.with(index, { ...one, ...more }),
    });
    if (one.rule !== null) yield without({ rule: null });
    if (one.forcedIn !== null) yield without({ forcedIn: null });
    if (one.forcedOut !== null) yield without({ forcedOut: null });
    if (one.services.length > 0) yield without({ services: [] });
  }
}

export function textOf({ seed, world, request, why }: Difference): string {
  const objects = objectsOf(world).map((one) => JSON.stringify(one));
  return `seed ${seed}: ${why}\n${JSON.stringify(request)}\n${objects.join("\n---\n")}`;
}
