//! Random lanes, rules, routes and requests, to a real Envoy and to the embedded gateway.

import { after, before, suite, test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { findEnvoy } from "../support/envoy.ts";
import { LANE_HEADER, TwoGateways, lane, laneGroup, routes } from "../support/two-gateways.ts";
import type { Asked } from "../support/two-gateways.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const CONFIGURATIONS = Number(process.env["GRAYLANE_RANDOM_CONFIGURATIONS"] ?? 8);
const REQUESTS = 60;
const FIRST = Number(process.env["GRAYLANE_RANDOM_FIRST"] ?? 1);

const LANES = ["blue", "gray"];
const VALUES = ["a", "ab", "b", "a.b", "c", ""];
const PATHS = ["/", "/a", "/a/b", "/ab", "/b", "/b/a.b"];
const TAGS = [...LANES, "green", "gray, blue", " ,blue", ""];

class Draw {
  readonly #prng: SeededPrng;

  constructor(number: number) {
    this.#prng = new SeededPrng(number);
  }

  below(limit: number): number {
    return this.#prng.below(limit);
  }

  is(): boolean {
    return this.below(2) === 0;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** `mayQuery`: false where the rule is denied, as Envoy cannot deny a query's parameter. */
  rule(depth: number, mayQuery: boolean): object {
    const kind = depth === 0 ? 0 : this.below(5);
    const member = (): object => this.rule(depth - 1, mayQuery);
    if (kind === 1) return { not: this.rule(depth - 1, false) };
    if (kind === 2) return { all: [member(), member()] };
    if (kind === 3) return { any: [member(), member()] };
    return this.#test(mayQuery ? "query" : "header");
  }

  #test(first: string): object {
    const operand = this.of([first, "header", "cookie", "path", "method", "host"]);
    if (operand === "query") {
      return { query: "q", ...this.#comparison(["==", "in", "prefix", "exists"], VALUES) };
    }
    if (operand === "host") return { host: true, ...this.#comparison(["==", "!="], ["a", "shop"]) };
    if (operand === "method") {
      return { method: true, ...this.#comparison(["==", "in", "notIn"], ["GET", "PUT"]) };
    }
    const operators = [
      "==",
      "!=",
      "in",
      "notIn",
      "prefix",
      "suffix",
      "contains",
      "exists",
      "absent",
    ];
    if (operand === "path") return { path: true, ...this.#comparison(operators, PATHS) };
    const name = operand === "header" ? this.of(["x-a", "x-b", LANE_HEADER]) : "u";
    const more = operand === "header" ? ["regex"] : [];
    return { [operand]: name, ...this.#comparison([...operators, ...more], VALUES) };
  }

  #comparison(operators: readonly string[], values: readonly string[]): object {
    const operator = this.of(operators);
    if (operator === "exists" || operator === "absent") return { operator };
    if (operator !== "in" && operator !== "notIn") return { operator, value: this.of(values) };
    return { operator, values: [...new Set([this.of(values), this.of(values)])] };
  }

  /** One of a VirtualService; `asksForLanes`: perhaps by the lane's header. */
  route(asksForLanes: boolean): object {
    const match: Record<string, object> = {};
    if (this.is()) match["uri"] = { [this.of(["prefix", "exact"])]: this.of(PATHS) };
    if (this.is()) match["headers"] = this.#fields(asksForLanes);
    if (this.below(3) === 0) match["withoutHeaders"] = this.#fields(asksForLanes);
    const matches = Object.keys(match).length === 0 ? {} : { match: [match] };
    if (this.below(6) === 0) return { ...matches, directResponse: { status: 418 } };
    const subset = asksForLanes && this.is() ? { subset: this.of(LANES) } : {};
    const rewrite = this.below(4) === 0 ? { rewrite: { uri: "/rewritten" } } : {};
    return { ...matches, ...rewrite, route: [{ destination: { host: "shop", ...subset } }] };
  }

  #fields(asksForLanes: boolean): object {
    const value = { exact: this.of(["a", "b"]) };
    return asksForLanes && this.is()
      ? { [LANE_HEADER]: { exact: this.of(LANES) } }
      : { "x-a": value };
  }

  request(): Asked {
    const headers: [string, string][] = [];
    if (this.is()) headers.push(["x-a", this.of(VALUES)]);
    if (this.is()) headers.push(["x-b", this.of(VALUES)]);
    if (this.below(3) === 0) headers.push([LANE_HEADER, this.of(TAGS)]);
    if (this.is()) headers.push(["cookie", `t=1; u=${this.of(VALUES)};u = ${this.of(VALUES)} `]);
    const query = this.of(["", "?q", `?q=${this.of(VALUES)}`, `?p=q&q=%61b&q=${this.of(VALUES)}`]);
    return { path: this.of(PATHS) + query, headers, method: this.of(["GET", "PUT", "DELETE"]) };
  }
}

function configuration(draw: Draw): string {
  const asksForLanes = draw.is();
  const list = Array.from({ length: 1 + draw.below(4) }, () => draw.route(asksForLanes));
  const fallback = `  fallback: ${draw.of(["permissive", "strict"])}`;
  const accepting = draw.below(3) === 0 ? "\n  acceptFromClients: true" : "";
  const lanes = LANES.map((name) => {
    const ruled = draw.below(6) === 0 ? {} : { rule: draw.rule(2, true) };
    const forcedIn = draw.below(3) === 0 ? { forcedIn: [draw.rule(1, true)] } : {};
    const forcedOut = draw.below(3) === 0 ? { forcedOut: [draw.rule(0, false)] } : {};
    const fields = { enabled: draw.below(6) > 0, ...ruled, ...forcedIn, ...forcedOut };
    const lines = Object.entries(fields).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
    return lane(name, lines.join("\n  "));
  });
  return routes(JSON.stringify(list)) + laneGroup(fallback + accepting) + lanes.join("");
}

suite("random lanes on a real Envoy", { skip, timeout: 240_000 }, () => {
  let gateways: TwoGateways;

  before(async () => {
    gateways = await TwoGateways.start(found.kind === "found" ? found.path : "", LANES);
  });
  after(() => gateways.stop());

  for (let number = FIRST; number < FIRST + CONFIGURATIONS; number++) {
    test(`configuration ${number} serves every request as the embedded gateway does`, async () => {
      const draw = new Draw(number);
      const yaml = configuration(draw);
      await gateways.apply(yaml);
      for (let count = 0; count < REQUESTS; count++) {
        await gateways.ask(draw.request()).catch((error: unknown) => {
          throw new Error(`${String(error)}\n${yaml}`, { cause: error });
        });
      }
    });
  }
});
