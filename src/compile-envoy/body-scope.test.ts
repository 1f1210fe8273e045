import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { EntryRoute, Gateway, Route, Snapshot } from "../snapshot/snapshot.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import { bodyScope } from "./body-scope.ts";
import type { BodyScope } from "./body-scope.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { UNASKED } from "./lane-condition.ts";
import { NO_SHARES } from "./lane-shares.ts";

const GATEWAY: Gateway = {
  name: "a=b",
  labels: { a: "b" },
  listeners: ["a=b:80", "a=b:81"].map((routeTable, at) => {
    return { port: 80 + at, protocol: "HTTP", hosts: ["*"], routeTable };
  }),
  plugins: [],
};

function route(name: string, asked?: string): Route {
  const present = { kind: "present" } as const;
  return {
    id: `default/${name}/http[0]`,
    label: name,
    source: { kind: "VirtualService", namespace: "default", name },
    matches: asked === undefined ? [] : [{ headers: [{ name: asked, match: present }] }],
    action: { kind: "direct", status: 200, body: "" },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 0,
  };
}

function tables(routes: readonly Route[]): Snapshot {
  const names = GATEWAY.listeners.map(({ routeTable }) => routeTable);
  const all = names.map((name, at) => {
    return [
      name,
      {
        name,
        virtualHosts: [{ domains: ["*"], routes: [routes[at]].flatMap((one) => one ?? []) }],
      },
    ] as const;
  });
  return { ...EMPTY_SNAPSHOT, routeTables: Object.fromEntries(all) };
}

function entered(
  entryRoutes: readonly EntryRoute[] | null,
  mayCarryContext: boolean,
): EnteredGroup {
  const lane = { name: "gray", tag: "gray", selector: {}, services: [], enabled: true, rule: null };
  const group = laneGroupOf({
    gateways: ["a=b"],
    baseline: { kind: "untagged", labelKeys: [] },
    context: { mode: "header", routeHeader: "X-Lane" },
    lanes: [lane],
    ...(entryRoutes === null ? {} : { entryRoutes }),
  });
  const common = {
    routeHeader: "x-lane",
    isRemoved: !mayCarryContext,
    mayCarryContext,
    foundIn: null,
  };
  const entries = [{ lane, clause: UNASKED }];
  return { group, ...common, entries, sharesAt: NO_SHARES, sticky: null };
}

const ROUTES = [route("one"), route("two")];
const TWO: readonly EntryRoute[] = [{ virtualService: "default/two", route: null }];

const CASES: readonly {
  readonly name: string;
  readonly group: EnteredGroup;
  readonly gateway?: Gateway;
  readonly routes?: readonly Route[];
  readonly want: BodyScope;
}[] = [
  { name: "at every route", group: entered(null, false), want: {} },
  {
    name: "unless a request has a context that is believed",
    group: entered(null, true),
    want: { context: "x-lane" },
  },
  {
    name: "at the entry routes of all ports",
    group: entered(TWO, false),
    want: { routes: ["default/two/http[0]"] },
  },
  {
    name: "at every route where a plug-in may lead to another one",
    group: entered(TWO, false),
    gateway: { ...GATEWAY, plugins: ["default/tagger"] },
    want: {},
  },
  {
    name: "at every route where the lane's header leads to another one",
    group: entered(TWO, true),
    routes: [route("one", "x-lane"), route("two")],
    want: { context: "x-lane" },
  },
];

for (const { name, group, gateway = GATEWAY, routes = ROUTES, want } of CASES) {
  test(`a body is waited for ${name}`, () => {
    assert.deepEqual(bodyScope(gateway, [group], tables(routes)), want);
  });
}
