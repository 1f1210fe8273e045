//! The plug-in lane-context does with baggage in an Envoy what `src/lane/baggage.ts` and
//! `src/dataplane/filter/lane-context.ts` do in ours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import {
  contextLookup,
  removeBaggageMembers,
  removeContext,
  writeContext,
} from "../../src/dataplane/filter/lane-context.ts";
import { Headers } from "../../src/http/headers.ts";
import { contextTag } from "../../src/lane/context.ts";
import { prepareLaneGroup } from "../../src/lane/decide.ts";
import type { PreparedLaneGroup } from "../../src/lane/decide.ts";
import type { Lane } from "../../src/snapshot/snapshot.ts";
import { laneGroupOf } from "../../src/snapshot/testing/lane-maker.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import type { HeaderPair } from "../../src/wasm/header-pairs.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { startPlugin, testServices } from "../support/plugin.ts";

/** The long form: so many random requests. */
const REQUESTS = Number(process.env["GRAYLANE_CONTEXT_REQUESTS"] ?? "6000");
const ROUTE_HEADER = "x-lane";
const MEMBER = "lane.g";
const INTERNAL = "x-internal";
const OUTSIDE = "x-outside";
const LANE = { selector: {}, services: [], enabled: true, rule: null };
const COMMA_TAGS = ["a,b", "gray , x"];
const LANES: readonly Lane[] = ["gray", ...COMMA_TAGS].map((tag) => ({ ...LANE, name: tag, tag }));
const GROUP: PreparedLaneGroup = prepareLaneGroup(
  laneGroupOf({
    name: "default/g",
    gateways: [],
    baseline: { kind: "untagged", labelKeys: [] },
    context: {
      ...{ mode: "baggage", routeHeader: ROUTE_HEADER, baggageKey: MEMBER },
      stripFromClients: false,
    },
    stripFromClients: false,
    lanes: LANES,
  }),
);
const GIVEN = { routeHeader: ROUTE_HEADER, member: MEMBER, tags: COMMA_TAGS };

async function start(configuration: object): Promise<Plugin> {
  const services = testServices();
  const plugin = await startPlugin("lane-context", JSON.stringify(configuration), services);
  assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
  return plugin;
}

/** As Envoy: a header as a property is all of its fields. */
class JoiningHost extends FakeStreamHost {
  override property(path: readonly string[]): Uint8Array | null {
    if (path.join(".") !== "request.headers.baggage") return super.property(path);
    const all = this.request.pairs.filter(([name]) => name === "baggage");
    return Buffer.from(all.map(([, value]) => value).join(","), "latin1");
  }
}

function after(plugin: Plugin, headers: readonly HeaderPair[]): Record<string, string> {
  const host = new JoiningHost(headers);
  const stream = plugin.createStream(host);
  assert.ok(stream !== null);
  assert.equal(stream.onRequestHeaders(true), 0);
  stream.finish();
  return fieldsOf(host.request.pairs);
}

/** Two fields of a name stay two. */
function fieldsOf(pairs: readonly HeaderPair[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of pairs) {
    const before = fields[name];
    fields[name] = before === undefined ? value : `${before}\n${value}`;
  }
  return fields;
}

/** The same as the embedded engine does it. */
function afterOurs(
  headers: readonly HeaderPair[],
  edit: (headers: Headers) => void,
): Record<string, string> {
  const own = new Headers();
  for (const [name, value] of headers) own.add(name, value);
  edit(own);
  return fieldsOf(own.names.map((name, index) => [name, own.values[index] ?? ""]));
}

const steps: readonly {
  readonly name: string;
  readonly configuration: object;
  readonly ours: (headers: Headers) => void;
}[] = [
  {
    name: "what an app's call carries",
    configuration: { groups: [{ ...GIVEN, step: "carry" }] },
    ours: (headers) => {
      const tag = contextTag(GROUP, contextLookup(headers));
      if (tag !== undefined) writeContext(headers, GROUP, tag);
    },
  },
  {
    name: "the lane of an isolated group's pod",
    configuration: { groups: [{ ...GIVEN, step: "write", tag: '50% "g",;\\~' }] },
    ours: (headers) => {
      writeContext(headers, GROUP, '50% "g",;\\~');
    },
  },
  {
    name: "the baseline of an isolated group's pod",
    configuration: { groups: [{ ...GIVEN, step: "remove" }] },
    ours: (headers) => {
      removeContext(headers, [GROUP]);
    },
  },
  {
    name: "members that clients may not send, and what is found then",
    configuration: {
      removedMembers: ["k", "k2"],
      groups: [{ ...GIVEN, step: "find", header: INTERNAL }],
    },
    ours: (headers) => {
      removeBaggageMembers(headers, ["k", "k2"]);
      const tag = contextTag(GROUP, contextLookup(headers));
      if (tag === undefined) headers.remove(INTERNAL);
      else headers.set(INTERNAL, tag === "" ? "," : tag);
    },
  },
  {
    name: "what a route has decided, and a call that leaves the mesh",
    configuration: { outside: OUTSIDE, groups: [{ ...GIVEN, step: "tell", header: INTERNAL }] },
    ours: (headers) => {
      const [told, routeHeader] = [headers.get(INTERNAL), headers.get(ROUTE_HEADER)];
      headers.remove(INTERNAL);
      if (told !== undefined) writeContext(headers, GROUP, told);
      // Routes write that one.
      if (routeHeader === undefined) headers.remove(ROUTE_HEADER);
      else headers.set(ROUTE_HEADER, routeHeader);
      if (headers.has(OUTSIDE)) removeBaggageMembers(headers, [MEMBER]);
      headers.remove(OUTSIDE);
    },
  },
];

/** Of fields called `baggage`. */
const COUNTS = [0, 1, 1, 1, 1, 2, 3];

/** Draws fields of headers: now a list of members, now anything. */
class FieldDraw {
  readonly #prng: SeededPrng;

  constructor(seed: number) {
    this.#prng = new SeededPrng(seed);
  }

  headers(): HeaderPair[] {
    const headers: HeaderPair[] = [[":path", "/"]];
    for (let left = this.#one(COUNTS); left > 0; left--) headers.push(["baggage", this.#field()]);
    if (this.#below(3) === 0) headers.push([ROUTE_HEADER, this.#tag()]);
    if (this.#below(3) === 0) headers.push([INTERNAL, this.#tag()]);
    if (this.#below(4) === 0) headers.push([OUTSIDE, "1"]);
    return headers;
  }

  #field(): string {
    const count = this.#below(40) === 0 ? 60 + this.#below(10) : this.#below(6);
    return Array.from({ length: count }, () => this.#member()).join(",");
  }

  #member(): string {
    if (this.#below(12) === 0) return this.#text();
    const key = this.#one([MEMBER, MEMBER, "k", "k2", "lane.g2", "Lane.g", "", this.#text()]);
    const value = this.#below(60) === 0 ? "v".repeat(this.#below(9_000)) : this.#value();
    const properties = this.#below(4) === 0 ? `;${this.#text()}` : "";
    const parts = [key, "=", `${value}${properties}`, ""];
    return parts.map((part) => `${this.#space()}${part}`).join("");
  }

  #value(): string {
    return this.#below(3) === 0 ? this.#text() : this.#one(["gray", "a%2Cb", "%67ray", "gray%20"]);
  }

  #tag(): string {
    return this.#one([
      "gray",
      "a,b",
      "gray , x",
      "gray, b",
      ",gray",
      "",
      "\u00a0 a\u00a0,b",
      "100%",
      this.#text(),
    ]);
  }

  #text(): string {
    const pieces = [
      "%",
      "%41",
      "%e7%81%b0",
      "%C3%A9",
      "\u00e9",
      "%ff",
      "%0d%0a",
      "%2",
      "%zz",
      "=",
      ";",
      " ",
    ];
    const ones = ["a", "G", "9", '"', "\\", "\t", "\u00c3\u00a9", "\u00a0", "~", MEMBER];
    const length = this.#below(6);
    return Array.from({ length }, () => this.#one([...pieces, ...ones])).join("");
  }

  #space(): string {
    return this.#below(5) === 0 ? this.#one([" ", "\t", "  ", "\u00a0"]) : "";
  }

  #one<Item>(from: readonly Item[]): Item {
    const item = from[this.#below(from.length)];
    assert.ok(item !== undefined);
    return item;
  }

  #below(limit: number): number {
    return this.#prng.below(limit);
  }
}

for (const { name, configuration, ours } of steps) {
  test(`random headers: ${name}`, async () => {
    const plugin = await start(configuration);
    const draw = new FieldDraw(11);
    for (let round = 0; round < REQUESTS / steps.length; round++) {
      const headers = draw.headers();
      assert.deepEqual(after(plugin, headers), afterOurs(headers, ours), JSON.stringify(headers));
    }
  });
}

test("several groups write their members one after the other", async () => {
  const groups = ["one", "two"].map((tag) => ({
    ...{ step: "write", routeHeader: `x-${tag}`, member: `m.${tag}`, tag },
  }));
  const plugin = await start({ groups });
  assert.deepEqual(after(plugin, [["baggage", "a=b"]]), {
    ...{ baggage: "m.two=two,m.one=one,a=b", "x-one": "one", "x-two": "two" },
  });
});

test("long fields leave no memory behind", async () => {
  const plugin = await start({ groups: [{ ...GIVEN, step: "write", tag: "gray" }] });
  const long = Array.from({ length: 2_000 }, (_, index) => `k${index}=${"%41".repeat(8)}`).join();
  for (let round = 0; round < 400; round++) {
    const { baggage = "" } = after(plugin, [["baggage", long]]);
    assert.equal(baggage.split(",").length, 64);
  }
});

for (const [name, configuration, says] of [
  ["no JSON", "{", /the configuration is not JSON/],
  ["a step that there is not", { groups: [{ ...GIVEN, step: "x" }] }, /step must be find, carry/],
  ["no header to find into", { groups: [{ ...GIVEN, step: "find" }] }, /header must be a text/],
  ["no member", { groups: [{ step: "carry", routeHeader: "x" }] }, /member must be a text/],
  ["members that are none", { removedMembers: [1], groups: [] }, /removedMembers must be a list/],
] as const) {
  test(`a configuration is refused: ${name}`, async () => {
    const services = testServices();
    const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration);
    assert.ok(!((await startPlugin("lane-context", text, services)) instanceof Plugin));
    assert.match(services.lines.join("\n"), says);
  });
}
