import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { validateResource } from "../resources/validate.ts";
import type { Cohorts } from "../snapshot/cohort.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";

function object(apiVersion: string, kind: string, name: string, spec: unknown): Resource {
  const given = { apiVersion, kind, metadata: { name, namespace: "default" }, spec };
  const { resource, faults } = validateResource(given);
  assert.ok(resource, JSON.stringify(faults));
  return resource;
}

const ISTIO = "networking.istio.io/v1";
const GRAYLANE = "graylane.io/v1alpha1";

const base = [
  object(ISTIO, "Gateway", "edge", {
    selector: { istio: "edge" },
    servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
  }),
  object("v1", "Service", "cart", { selector: { app: "cart" }, ports: [{ port: 80 }] }),
  object(ISTIO, "VirtualService", "shop", {
    gateways: ["edge"],
    hosts: ["*"],
    http: ["cart", "pay"].map((name) => ({
      name,
      match: [{ uri: { prefix: `/${name}` } }],
      route: [{ destination: { host: "cart" } }],
    })),
  }),
];

const group = (ratio?: object, name = "shop", header = "x-lane"): Resource =>
  object(GRAYLANE, "LaneGroup", name, {
    entry: { gateways: [{ name: "edge" }] },
    services: [{ name: "cart" }],
    baseline: {},
    context: { mode: "header", routeHeader: header },
    ...(ratio === undefined ? {} : { ratio }),
  });

const lane = (name: string, ratio?: object, more: object = {}): Resource =>
  object(GRAYLANE, "Lane", name, {
    group: "shop",
    selector: { matchLabels: { lane: name } },
    ...(ratio === undefined ? {} : { ratio }),
    ...more,
  });

const USER = { key: { header: "X-User-Id" } };

/** Compiles and writes what must be kept into the group's status, as the publisher does. */
class Cluster {
  readonly #status = new Map<string, unknown>();

  apply(...resources: readonly Resource[]): CompileResult {
    const all = [...base, ...resources].map((resource) =>
      resource.kind === "LaneGroup"
        ? { ...resource, status: this.#status.get(resource.metadata.name) }
        : resource,
    );
    const result = compile({ resources: all, modules: new Map() });
    for (const [key, allocation] of result.allocations) {
      this.#status.set(key.split("/")[1] ?? "", { allocation: structuredClone(allocation) });
    }
    return result;
  }

  restore(name: string, allocation: unknown): void {
    this.#status.set(name, { allocation });
  }

  status(name = "shop"): unknown {
    return structuredClone(this.#status.get(name));
  }
}

function cohortsOf(result: CompileResult, name = "default/shop"): Cohorts | undefined {
  return result.snapshot.laneGroups[name]?.cohorts;
}

function intervals(result: CompileResult, table = "*"): unknown {
  return cohortsOf(result)?.tables[table]?.map(({ fromPpm, toPpm, lane: name }) => [
    name,
    fromPpm,
    toPpm,
  ]);
}

function codes(result: CompileResult): string[] {
  return result.messages.map(({ code }) => code).filter((code) => code.startsWith("GL034"));
}

test("a group without ratio has no shares in the snapshot and keeps nothing", () => {
  const result = new Cluster().apply(group(), lane("gray"));
  assert.equal(cohortsOf(result), undefined);
  assert.equal(result.allocations.size, 0);
});

test("a ratio is dealt exactly, with the group's name for a salt", () => {
  const result = new Cluster().apply(group(USER), lane("gray", { percent: "1‰" }));
  assert.deepEqual(intervals(result), [["gray", 0, 1_000]]);
  assert.deepEqual(cohortsOf(result)?.deal, {
    key: { kind: "header", name: "x-user-id" },
    hash: "murmur3",
    salt: "default/shop",
    modulo: 100,
  });
});

test("without a key each request is drawn", () => {
  const result = new Cluster().apply(group(), lane("gray", { percent: "30%" }));
  assert.equal(cohortsOf(result)?.deal, null);
});

test("the next change builds on the allocation that was kept; the same is not kept again", () => {
  const cluster = new Cluster();
  const a = (percent: string): Resource => lane("a", { percent });
  const b = lane("b", { percent: "10%" });
  cluster.apply(group(USER), a("20%"), b);
  const grown = cluster.apply(group(USER), a("25%"), b);
  const want = [
    ["a", 0, 200_000],
    ["b", 200_000, 300_000],
    ["a", 300_000, 350_000],
  ];
  assert.deepEqual(intervals(grown), want);
  const again = cluster.apply(group(USER), a("25%"), b);
  assert.deepEqual(intervals(again), want);
  assert.equal(again.allocations.size, 0);
});

test("an exported allocation, restored elsewhere, gives the same users to the same lanes", () => {
  const first = new Cluster();
  first.apply(group(USER), lane("a", { percent: "20%" }), lane("b", { percent: "10%" }));
  const before = first.apply(group(USER), lane("b", { percent: "10%" }));
  const second = new Cluster();
  second.apply(group(USER), lane("b", { percent: "10%" }));
  second.restore("shop", (first.status() as { allocation: unknown }).allocation);
  const after = second.apply(group(USER), lane("b", { percent: "10%" }));
  assert.deepEqual(intervals(after), [["b", 200_000, 300_000]]);
  assert.equal(after.snapshot.version, before.snapshot.version);
});

test("a closed lane has no users and keeps them for the day it opens", () => {
  const cluster = new Cluster();
  const a = lane("a", { percent: "20%" });
  const b = lane("b", { percent: "10%" });
  cluster.apply(group(USER), a, b);
  const closed = cluster.apply(group(USER), lane("a", { percent: "20%" }, { enabled: false }), b);
  assert.deepEqual(intervals(closed), [["b", 200_000, 300_000]]);
  const opened = cluster.apply(group(USER), a, lane("b", { percent: "30%" }));
  assert.deepEqual(intervals(opened), [
    ["a", 0, 200_000],
    ["b", 200_000, 500_000],
  ]);
});

test("a base route has the share that names it, and begins with the users it had", () => {
  const cluster = new Cluster();
  cluster.apply(group(USER), lane("gray", { percent: "10%" }));
  const routes = [{ virtualService: "shop", route: "pay", percent: "20%" }];
  const result = cluster.apply(group(USER), lane("gray", { percent: "10%", routes }));
  assert.deepEqual(intervals(result), [["gray", 0, 100_000]]);
  assert.deepEqual(intervals(result, "default/shop/pay"), [["gray", 0, 200_000]]);
  assert.deepEqual(cohortsOf(result)?.routes, { "default/shop/http[1]": "default/shop/pay" });
  const common = cluster.apply(group(USER), lane("gray", { percent: "10%" }));
  assert.deepEqual(Object.keys(cohortsOf(common)?.tables ?? {}), ["*"]);
});

test("shares that are dealt for the first time agree at all base routes as far as they go", () => {
  const routes = [{ virtualService: "shop", route: "pay", percent: "50%" }];
  const a = lane("a", { percent: "20%", routes });
  const result = new Cluster().apply(group(USER), a, lane("b", { percent: "10%" }));
  assert.deepEqual(intervals(result, "default/shop/pay"), [
    ["a", 0, 200_000],
    ["b", 200_000, 300_000],
    ["a", 300_000, 600_000],
  ]);
});

test("a share for a whole VirtualService holds for those of its routes that have none", () => {
  const routes = [
    { virtualService: "shop", percent: "5%" },
    { virtualService: "shop", route: "pay", percent: "0%" },
  ];
  const result = new Cluster().apply(group(USER), lane("gray", { routes }));
  assert.deepEqual(intervals(result, "default/shop"), [["gray", 0, 50_000]]);
  assert.deepEqual(intervals(result, "default/shop/pay"), []);
  assert.deepEqual(intervals(result), []);
});

test("a share for a route that is not there is named, and the others have effect", () => {
  const routes = [{ virtualService: "shop", route: "gone", percent: "5%" }];
  const result = new Cluster().apply(group(USER), lane("gray", { percent: "1%", routes }));
  assert.deepEqual(codes(result), ["GL0342"]);
  assert.deepEqual(intervals(result), [["gray", 0, 10_000]]);
});

test("shares over 100 % are an error that names every group and lane, and nobody grows", () => {
  const cluster = new Cluster();
  const other = group(undefined, "other", "x-other");
  const pay = lane("pay", { percent: "50%" }, { group: "other" });
  cluster.apply(
    group(USER),
    other,
    pay,
    lane("a", { percent: "20%" }),
    lane("b", { percent: "9%" }),
  );
  const result = cluster.apply(
    ...[group(USER), other, pay],
    ...[lane("a", { percent: "50%" }), lane("b", { percent: "5%" })],
  );
  assert.deepEqual([...new Set(codes(result))], ["GL0340"]);
  const { message = "" } = result.messages.find(({ code }) => code === "GL0340") ?? {};
  for (const part of ["105 %", "default/shop (a 50 %, b 5 %)", "default/other (pay 50 %)"]) {
    assert.ok(message.includes(part), message);
  }
  assert.deepEqual(intervals(result), [
    ["a", 0, 200_000],
    ["b", 200_000, 250_000],
  ]);
});

for (const change of [{ salt: "autumn" }, { hash: "fnv1a" }, { key: { cookie: "uid" } }]) {
  test(`${JSON.stringify(change)} waits until no lane has a share, and an error says so`, () => {
    const cluster = new Cluster();
    const before = cluster.apply(group(USER), lane("gray", { percent: "10%" }));
    const changed = group({ ...USER, ...change });
    const refused = cluster.apply(changed, lane("gray", { percent: "20%" }));
    assert.deepEqual(codes(refused), ["GL0341"]);
    assert.deepEqual(cohortsOf(refused)?.deal, cohortsOf(before)?.deal);
    assert.deepEqual(intervals(refused), [["gray", 0, 200_000]]);
    cluster.apply(changed, lane("gray", { percent: "0%" }));
    const taken = cluster.apply(changed, lane("gray", { percent: "10%" }));
    assert.deepEqual(codes(taken), []);
    assert.notDeepEqual(cohortsOf(taken)?.deal, cohortsOf(before)?.deal);
  });
}

const damaged: readonly (readonly [string, unknown])[] = [
  ["no list", { deal: null, tables: {} }],
  [
    "an interval twice",
    tableOf([
      [0, 10],
      [5, 20],
    ]),
  ],
  ["an interval beyond the end", tableOf([[0, 1_000_001]])],
  ["an interval the wrong way round", tableOf([[10, 5]])],
  ["a hash that nobody knows", { deal: { key: { kind: "clientIp" }, hash: "md5" }, tables: [] }],
];

function tableOf(list: readonly (readonly number[])[]): unknown {
  return { deal: null, tables: [{ route: "*", lanes: [{ lane: "gray", intervals: list }] }] };
}

for (const [what, allocation] of damaged) {
  test(`a kept allocation with ${what} puts nobody into a lane, and is not overwritten`, () => {
    const cluster = new Cluster();
    cluster.restore("shop", allocation);
    const result = cluster.apply(group(USER), lane("gray", { percent: "10%" }));
    assert.deepEqual(codes(result), ["GL0343"]);
    assert.equal(cohortsOf(result), undefined);
    assert.equal(result.allocations.size, 0);
  });
}
