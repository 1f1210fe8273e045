//! Both walk-throughs of examples/, from their own files. Only what runs in their pods is ours.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../../src/resources/object.ts";
import type { ParityCase, ParityGroup } from "../case.ts";

/** The Gateway is the suite's own, which is the same. */
function objectsOf(...files: readonly string[]): Resource[] {
  const texts = files.map((file) => readFileSync(join("examples", file), "utf8"));
  const all = texts.flatMap((text) => parseAllDocuments(text).map((one) => one.toJS() as Resource));
  return all.filter((one) => (one as Resource | null) !== null && one.kind !== "Gateway");
}

function folder(name: string): Resource[] {
  const files = readdirSync(join("examples", name)).filter((file) => file.endsWith(".yaml"));
  return objectsOf(...files.sort().map((file) => join(name, file)));
}

/** `objects` with those of a step in the place of the ones of the same name. */
function after(objects: readonly Resource[], step: string): Resource[] {
  const changed = objectsOf(step);
  const isSame = (a: Resource, b: Resource): boolean =>
    a.kind === b.kind && a.metadata.name === b.metadata.name;
  return [...objects.filter((one) => !changed.some((other) => isSame(one, other))), ...changed];
}

const MSE = folder("mse-order");
const ASM = folder("asm-hash-tagging");
const BASE = "spring-cloud-a spring-cloud-b spring-cloud-c";

function order(name: string, gray: string): ParityCase[] {
  return [
    { name: `${name}: without the header`, ask: { path: "/a" }, want: { hops: BASE } },
    {
      name: `${name}: with canary: gray`,
      ask: { path: "/a", headers: [["canary", "gray"]] },
      want: { hops: gray },
    },
  ];
}

const GRAY = "spring-cloud-a-gray spring-cloud-b spring-cloud-c-gray";

const ORDER: readonly ParityGroup[] = [
  { name: "mse-order", objects: MSE, cases: order("the lane is open", GRAY) },
  {
    name: "mse-order: the lane is closed",
    objects: after(MSE, "mse-order/steps/close-lane.yaml"),
    cases: order("the lane is closed", BASE),
  },
  {
    name: "mse-order: the gray A is stopped",
    objects: after(MSE, "mse-order/steps/stop-gray-a.yaml"),
    cases: order("no gray A", "spring-cloud-a spring-cloud-b spring-cloud-c-gray"),
  },
];

/** The buckets are 44 for bob, 2 for jack; jason has a route of his own. */
function users(inLane: readonly string[]): ParityCase[] {
  return ["jason", "bob", "jack"].map((user) => {
    const version = user === "jason" || inLane.includes(user) ? "v2" : "v1";
    return {
      name: `${user} reaches mockc ${version}`,
      ask: { headers: [["x-user-id", user]] },
      want: { hops: `mocka-v1 mockb-v1 mockc-${version}` },
    };
  });
}

const TAGGING: readonly ParityGroup[] = [
  { name: "asm-hash-tagging", objects: ASM, cases: users(["jack"]) },
  {
    name: "asm-hash-tagging: 50 %",
    objects: after(ASM, "asm-hash-tagging/steps/range-50.yaml"),
    cases: users(["bob", "jack"]),
  },
  {
    name: "asm-hash-tagging: rolled back",
    objects: after(ASM, "asm-hash-tagging/steps/range-0.yaml"),
    cases: users([]),
  },
  {
    name: "asm-hash-tagging: without the plug-in",
    objects: ASM.filter(({ kind }) => kind !== "WasmPlugin"),
    cases: [
      {
        name: "who has no tag has no route",
        ask: { headers: [["x-user-id", "jack"]] },
        want: { status: 404 },
      },
      ...users([]).slice(0, 1),
    ],
  },
];

export const WALKTHROUGH_GROUPS: readonly ParityGroup[] = [...ORDER, ...TAGGING];
