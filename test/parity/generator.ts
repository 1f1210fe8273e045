//! Random configurations of lanes and routes, and requests to them.

import { SeededPrng } from "../../src/base/prng.ts";
import type { Resource } from "../../src/resources/object.ts";
import type { Question } from "./question.ts";
import { OTHER_RSA, SIGNERS, keySet, token } from "./tokens.ts";
import { LANE_HEADER, LANE_MEMBER, PORT, lane, laneGroup, routes } from "./topology.ts";
import type {
  Rule,
  World,
  WorldLane,
  WorldRequest,
  WorldRoute,
  WorldTarget,
  WorldToken,
  WorldTokens,
} from "./world.ts";

const SERVICES = ["a", "b", "c"];
const NAMES = ["blue", "gray", "green"];
const LABELS = [
  ...[["lane", "gray"] as const, ["lane", "blue"] as const, ["k1", "x"] as const],
  ...[["k2", "x"] as const, ["k3", "x"] as const, ["k4", "y"] as const, ["k4", "z"] as const],
];
const VALUES = ["a", "ab", "b", "a.b", "c", ""];
const PATHS = ["/", "/a", "/a/b", "/ab", "/b"];
/** Of others, as they may stand on any request. */
const MEMBERS = ["a=b", "user=1;p=1", "k=%20", "odd"];
const LANE_MEMBERS = [...NAMES, "tag-gray", "none"].map((tag) => `${LANE_MEMBER}=${tag}`);
const MORE_MEMBERS = [...MEMBERS, ...LANE_MEMBERS];
const CLAIMS = ["sub", "level", "groups", "isBeta", "nobody"];
/** As rules see them. */
const CLAIM_VALUES = [...VALUES, "7", "2.5", "true", "a,7"];
const ISSUERS = ["https://a.test", "https://b.test"];
const AUDIENCES = ["shop", "desk"];
const FLAWS = ["another key", "expired", "not yet", "cut", "none"] as const;
const ALGORITHMS = Object.keys(SIGNERS);
const SEEDS_ALIKE = 3;
const YEAR_S = 31_536_000;
const OPERATORS = ["==", "!=", "in", "notIn", "prefix", "suffix", "contains", "exists", "absent"];

export class Draw {
  readonly #prng: SeededPrng;
  readonly #mode: World["mode"];
  readonly #tokens: WorldTokens | null;

  /**
   * A run of seeds has one form: another one changes the listeners of Envoys, which drain for longer
   * than all requests of a configuration take.
   */
  constructor(seed: number) {
    this.#prng = new SeededPrng(seed);
    const run = Math.floor(seed / SEEDS_ALIKE);
    this.#mode = run % 4 < 2 ? "header" : "baggage";
    this.#tokens = run % 2 === 0 ? null : this.#drawTokens();
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.#prng.below(choices.length)] as T;
  }

  /** One time in so many. */
  oneIn(count: number): boolean {
    return this.#prng.below(count) === 0;
  }

  world(): World {
    const isolated = this.oneIn(5);
    const members = isolated || this.oneIn(2) ? SERVICES : this.of([["a", "b"], ["a", "c"], ["b"]]);
    const policy = this.of(["permissive", "strict", "chain"] as const);
    const names = NAMES.slice(0, 1 + this.#prng.below(NAMES.length));
    const lanes = names.map((name) => this.#lane(name, names, members, policy));
    const count = 1 + this.#prng.below(4);
    return {
      ...{ mode: this.#mode, tokens: this.#tokens, members, policy, isolated, lanes },
      strictService: policy !== "strict" && this.oneIn(4) ? this.of(members) : null,
      accepts: this.oneIn(3),
      routes: Array.from({ length: count }, () => this.#route(names, members)),
    };
  }

  request(): WorldRequest {
    const headers: [string, string][] = [];
    if (this.oneIn(2)) headers.push(["x-a", this.of(VALUES)]);
    if (this.oneIn(2)) headers.push(["x-b", this.of(VALUES)]);
    if (this.oneIn(3)) headers.push([LANE_HEADER, this.of([...NAMES, "tag-gray", "none", ""])]);
    if (this.oneIn(2)) headers.push(["cookie", `t=1; u=${this.of(VALUES)}; u=${this.of(VALUES)}`]);
    const query = this.of(["", "?q", `?q=${this.of(VALUES)}`, `?p=q&q=%61b&q=${this.of(VALUES)}`]);
    const hops = Array.from({ length: this.#prng.below(4) }, () => this.of(SERVICES));
    // A lane's member beside a tag of no lane stays, and later calls go by it: docs/envoy.md, "Parity".
    const isTold = headers.some(([name]) => name === LANE_HEADER);
    const method = this.of(["GET", "PUT"]);
    return {
      ...{ method, path: this.of(PATHS) + query, headers, hops },
      baggage: this.#mode === "baggage" ? this.#baggage(isTold ? MEMBERS : MORE_MEMBERS) : [],
      token: this.#tokens === null || this.oneIn(4) ? null : this.#token(this.#tokens),
    };
  }

  #baggage(members: readonly string[]): string[][] {
    const field = (): string[] =>
      Array.from({ length: 1 + this.#prng.below(3) }, () => this.of(members));
    return Array.from({ length: this.#prng.below(3) }, field);
  }

  #drawTokens(): WorldTokens {
    return {
      issuer: this.oneIn(2) ? this.of(ISSUERS) : null,
      audience: this.oneIn(2) ? this.of(AUDIENCES) : null,
      place: this.of(["header", "cookie"]),
    };
  }

  /** Most are what the configuration asks for. */
  #token({ issuer, audience }: WorldTokens): WorldToken {
    const claims = {
      ...(this.oneIn(3) ? {} : { sub: this.of(VALUES) }),
      ...(this.oneIn(2) ? {} : { level: this.of([7, 2.5]) }),
      ...(this.oneIn(2) ? {} : { groups: this.of([["a", 7], ["a"], [], ["b", "c"]]) }),
      ...(this.oneIn(2) ? {} : { isBeta: this.oneIn(2) }),
    };
    return {
      ...{ alg: this.of(ALGORITHMS), claims },
      issuer: this.oneIn(4) ? this.of([...ISSUERS, null]) : issuer,
      audiences: this.oneIn(4) ? [this.of(AUDIENCES)] : [...AUDIENCES, audience ?? "more"],
      flaw: this.oneIn(4) ? this.of(FLAWS) : null,
    };
  }

  #lane(
    name: string,
    names: readonly string[],
    members: readonly string[],
    policy: World["policy"],
  ): WorldLane {
    const before = names.slice(0, names.indexOf(name));
    return {
      name,
      tag: this.oneIn(3) ? `tag-${name}` : name,
      label: this.of(LABELS),
      services: this.oneIn(4) ? [this.of(members)] : [],
      enabled: !this.oneIn(6),
      priority: this.#prng.below(2),
      rule: this.oneIn(6) ? null : this.#rule(2),
      forcedIn: this.oneIn(4) ? this.#rule(1) : null,
      forcedOut: this.oneIn(4) ? this.#rule(0) : null,
      parent: policy === "chain" && before.length > 0 && this.oneIn(2) ? this.of(before) : null,
    };
  }

  #route(names: readonly string[], members: readonly string[]): WorldRoute {
    const uri = this.#prng.below(3);
    const service = this.of(SERVICES);
    const laneOf = (of: string): string | null =>
      members.includes(of) && this.oneIn(3) ? this.of(names) : null;
    const target: WorldTarget = { service, lane: laneOf(service) };
    const second = target.lane === null || !this.oneIn(3) ? null : this.of(names);
    return {
      prefix: uri === 1 ? this.of(PATHS) : null,
      exact: uri === 2 ? this.of(PATHS) : null,
      header: this.oneIn(4) ? this.of(["a", "b"]) : null,
      target: this.oneIn(8) ? null : target,
      fallback: second === null ? null : { service, lane: second },
    };
  }

  #rule(depth: number): Rule {
    const kind = depth === 0 ? 0 : this.#prng.below(5);
    if (kind === 1) return { not: this.#rule(depth - 1) };
    const members = (): Rule[] => [0, 1].map(() => this.#rule(depth - 1));
    if (kind === 2) return { all: members() };
    if (kind === 3) return { any: members() };
    if (this.#tokens !== null && this.oneIn(2)) {
      return { claim: this.of(CLAIMS), ...this.#comparison(OPERATORS, CLAIM_VALUES) };
    }
    const operand = this.of(["query", "header", "cookie", "path", "method"]);
    if (operand === "query") return { query: "q", ...this.#comparison(OPERATORS, VALUES) };
    if (operand === "path") return { path: true, ...this.#comparison(OPERATORS, PATHS) };
    if (operand === "method") {
      return { method: true, ...this.#comparison(["==", "in", "notIn"], ["GET", "PUT"]) };
    }
    const name = operand === "header" ? { header: this.of(["x-a", "x-b"]) } : { cookie: "u" };
    return { ...name, ...this.#comparison(OPERATORS, VALUES) };
  }

  #comparison(operators: readonly string[], values: readonly string[]): { operator: string } {
    const operator = this.of(operators);
    if (operator === "exists" || operator === "absent") return { operator };
    const value = { operator, value: this.of(values) };
    if (operator !== "in" && operator !== "notIn") return value;
    const list = { operator, values: [...new Set([this.of(values), this.of(values)])] };
    return list;
  }
}

export function objectsOf(world: World): Resource[] {
  const { members, policy, strictService, isolated, accepts, mode, tokens } = world;
  const group = laneGroup({
    services: members.map((name) => ({ name })),
    fallback: policy,
    context: { mode, routeHeader: LANE_HEADER },
    ...(tokens === null ? {} : { operands: { jwt: jwtOf(tokens) } }),
    ...(isolated ? { isolated } : {}),
    ...(accepts ? { acceptFromClients: true } : {}),
    ...(strictService === null
      ? {}
      : { serviceFallback: [{ service: { name: strictService }, policy: "strict" }] }),
  });
  return [routes(world.routes.map(routeOf)), group, ...world.lanes.map(laneOf)];
}

function routeOf({ prefix, exact, header, target, fallback }: WorldRoute): object {
  const uri = prefix === null ? {} : { uri: { prefix } };
  const match = {
    ...(exact === null ? uri : { uri: { exact } }),
    ...(header === null ? {} : { headers: { "x-a": { exact: header } } }),
  };
  const matches = Object.keys(match).length === 0 ? {} : { match: [match] };
  if (target === null) return { ...matches, directResponse: { status: 418 } };
  const second = fallback === null ? {} : { fallback: { target: destinationOf(fallback) } };
  return { ...matches, route: [{ destination: destinationOf(target), ...second }] };
}

function destinationOf({ service, lane: subset }: WorldTarget): object {
  return { host: service, ...(subset === null ? {} : { subset }) };
}

function laneOf(one: WorldLane): Resource {
  const { name, tag, label, services, enabled, priority, rule, forcedIn, forcedOut, parent } = one;
  return lane(name, {
    ...{ tag, enabled, priority },
    selector: { matchLabels: { [label[0]]: label[1] } },
    rule: rule ?? undefined,
    ...(services.length === 0 ? {} : { services: services.map((of) => ({ name: of })) }),
    ...(forcedIn === null ? {} : { forcedIn: [forcedIn] }),
    ...(forcedOut === null ? {} : { forcedOut: [forcedOut] }),
    ...(parent === null ? {} : { parent }),
  });
}

function jwtOf({ issuer, audience, place }: WorldTokens): object {
  return {
    jwks: keySet(),
    ...(issuer === null ? {} : { issuer }),
    ...(audience === null ? {} : { audiences: [audience] }),
    ...(place === "cookie" ? { cookie: "token" } : {}),
  };
}

export function questionOf(request: WorldRequest, tokens: WorldTokens | null): Question {
  const { method, path, headers, baggage, token: one, hops } = request;
  const calls = hops.map((service) => `${service}:${PORT}`).join(",");
  const chain = hops.length === 0 ? [] : [["x-hops", calls] as const];
  const lists = baggage.map((members) => ["baggage", members.join()] as const);
  const all = [...headers, ...lists, ...chain];
  if (one === null || tokens === null) return { method, path, headers: all };
  const text = textOf(one);
  if (tokens.place === "header") {
    return { method, path, headers: [...all, ["authorization", `Bearer ${text}`]] };
  }
  const cookies = all.filter(([name]) => name === "cookie").map(([, value]) => value);
  const others = all.filter(([name]) => name !== "cookie");
  const cookie = [...cookies, `token=${text}`].join("; ");
  return { method, path, headers: [...others, ["cookie", cookie]] };
}

/** It is signed once: the same configuration is asked again while a difference is made small. */
const texts = new WeakMap<WorldToken, string>();

function textOf(one: WorldToken): string {
  const known = texts.get(one);
  if (known !== undefined) return known;
  const { alg, claims, issuer, audiences, flaw } = one;
  const nowS = Math.floor(Date.now() / 1_000);
  const all = {
    ...{ ...claims, aud: audiences },
    ...(issuer === null ? {} : { iss: issuer }),
    ...(flaw === "expired" ? { exp: nowS - YEAR_S } : {}),
    ...(flaw === "not yet" ? { nbf: nowS + YEAR_S } : {}),
  };
  // Of RSA is the other key: a signature of another kind would be told by its length.
  const signed =
    flaw === "another key" ? token(all, { alg: "RS256", key: OTHER_RSA }) : token(all, { alg });
  const cut = flaw === "cut" ? signed.slice(0, -1) : signed;
  const text = flaw === "none" ? unsigned(all) : cut;
  texts.set(one, text);
  return text;
}

function unsigned(claims: object): string {
  const parts = [{ alg: "none" }, claims].map((part) => JSON.stringify(part));
  return `${parts.map((part) => Buffer.from(part).toString("base64url")).join(".")}.`;
}
