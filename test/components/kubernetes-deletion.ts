//! The same owners, dependents and deletes in our API server and in a real one, which has no
//! controllers here: what is refused, and which finalizers a delete sets and takes away.

import type { Answered, Sent } from "../../src/server/testing/served.ts";
import type { BothServers } from "./kubernetes-access.ts";

const USER = "root";
const MAPS = "/api/v1/namespaces/default/configmaps";
const OWNER = { apiVersion: "v1", kind: "ConfigMap", name: "o", uid: "u" };

type Step = Omit<Sent, "token">;

function made(name: string, more: object = {}): Step {
  return { method: "POST", path: MAPS, body: { metadata: { name, ...more } } };
}

function deleted(name: string, body: object = {}, query = ""): Step {
  return { method: "DELETE", path: `${MAPS}/${name}${query}`, body };
}

function queried(name: string, query: string): Step {
  return { method: "DELETE", path: `${MAPS}/${name}?${query}` };
}

const WRONG_OWNERS: readonly unknown[] = [
  ...["apiVersion", "kind", "name", "uid"].flatMap((field) => [
    [{ ...OWNER, [field]: "" }],
    [{ ...OWNER, [field]: undefined }],
    [{ ...OWNER, [field]: 1 }],
  ]),
  [{ ...OWNER, controller: "yes" }],
  [{ ...OWNER, blockOwnerDeletion: 1 }],
  [
    { ...OWNER, controller: true },
    { ...OWNER, uid: "v", controller: true },
  ],
  [{ ...OWNER, kind: "Event" }],
  {},
  "owner",
];

const HELD = ["x.io/y"];
const POLICIES = ["Background", "Foreground", "Orphan"];

const STEPS: readonly Step[] = [
  ...WRONG_OWNERS.map((ownerReferences, at) => made(`wrong-${at}`, { ownerReferences })),
  made("d0", { ownerReferences: [OWNER, { ...OWNER, uid: "v", controller: true }] }),
  ...["foregroundDeletion", "orphan"].map((one) => made(one.toLowerCase(), { finalizers: [one] })),
  ...["foregroundDeletion", "orphan"].map((one) => deleted(one.toLowerCase())),
  ...POLICIES.flatMap((propagationPolicy) => {
    const name = propagationPolicy.toLowerCase();
    return [made(name), deleted(name, { propagationPolicy }), deleted(name)];
  }),
  // Each after each other: what is held by one may be let go by the next.
  ...POLICIES.flatMap((first) =>
    POLICIES.flatMap((second) => {
      const name = `${first}-${second}`.toLowerCase();
      return [
        made(name, { finalizers: HELD }),
        deleted(name, { propagationPolicy: first }),
        deleted(name, { propagationPolicy: second }),
        deleted(name),
      ];
    }),
  ),
  ...["true", "false", "1", "0", "x"].flatMap((value) => {
    const name = `orphans-${value}`;
    return [made(name), queried(name, `orphanDependents=${value}`)];
  }),
  ...["Foreground", "Sometimes", "foreground"].flatMap((value) => {
    const name = `query-${value.toLowerCase()}-x`;
    return [made(name), queried(name, `propagationPolicy=${value}`)];
  }),
  made("w"),
  deleted("w", { propagationPolicy: "Sometimes" }),
  deleted("w", { propagationPolicy: "Orphan", orphanDependents: true }),
  deleted("w", { propagationPolicy: "Sometimes", orphanDependents: false }),
  deleted("w", { propagationPolicy: 1 }),
  deleted("w", { orphanDependents: "yes" }),
  deleted("w", { propagationPolicy: "Foreground", dryRun: ["All"] }),
  { path: `${MAPS}/w` },
  deleted("w", { orphanDependents: false }),
  made("collected", { labels: { of: "collection" }, finalizers: HELD }),
  {
    method: "DELETE",
    path: `${MAPS}?labelSelector=of%3Dcollection`,
    body: { propagationPolicy: "Foreground" },
  },
  { path: `${MAPS}/collected` },
  { method: "DELETE", path: MAPS, body: { propagationPolicy: "Sometimes" } },
];

/** What was answered otherwise. */
export async function deletionDifferences(both: BothServers): Promise<readonly string[]> {
  const differences: string[] = [];
  for (const step of STEPS) {
    const answers = await both.ask(USER, step);
    const [own, other] = answers.map((answer) => said(answer, step));
    if (own === other) continue;
    differences.push(`${JSON.stringify(step)}\nours:   ${own}\ntheirs: ${other}`);
  }
  return differences;
}

interface Body {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: object;
  readonly metadata: {
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly object[];
    readonly deletionTimestamp?: string;
  };
}

function said({ code, text }: Answered, { method }: Step): string {
  const { kind, message, reason, details, metadata } = JSON.parse(text) as Body;
  // A field of a wrong type is invalid here, and for Kubernetes the body is none.
  if (method === "POST" && (code === 400 || code === 422)) return "refused";
  // What is wrong with an object is told in other words here; with a delete in the same.
  if (code === 422 && method === "DELETE") return JSON.stringify({ code, message, details });
  if (code >= 400) return JSON.stringify({ code, reason });
  const { finalizers = [], ownerReferences, deletionTimestamp } = metadata;
  const isMarked = deletionTimestamp !== undefined;
  return JSON.stringify({ code, kind, finalizers, ownerReferences, isMarked });
}
