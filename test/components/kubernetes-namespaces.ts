//! The same life of a Namespace in our API server and in a real one, which has no controllers here:
//! what it is made of, and what is refused while it goes.

import type { Answered, Sent } from "../../src/server/testing/served.ts";
import type { BothServers } from "./kubernetes-access.ts";

const USER = "root";
const NAMESPACES = "/api/v1/namespaces";
const ONE = `${NAMESPACES}/going`;
const MAPS = `${ONE}/configmaps`;
const APPLY = { "content-type": "application/apply-patch+yaml" };
const MERGE = { "content-type": "application/merge-patch+json" };
const SERVICE = { metadata: { name: "one" }, spec: { ports: [{ port: 80 }] } };

function named(name: string, more: object = {}): object {
  return { metadata: { name, ...more } };
}

type Step = Omit<Sent, "token">;

/** One after the other. */
const STEPS: readonly Step[] = [
  { method: "POST", path: NAMESPACES, body: named("going", { labels: { a: "b" } }) },
  { method: "PATCH", path: ONE, headers: MERGE, body: { spec: { finalizers: ["x.io/y"] } } },
  { method: "PATCH", path: ONE, headers: MERGE, body: named("going", { labels: null }) },
  { method: "POST", path: MAPS, body: named("one") },
  { method: "POST", path: MAPS, body: named("held", { finalizers: ["x.io/y"] }) },
  { method: "DELETE", path: `${ONE}?dryRun=All` },
  { method: "DELETE", path: ONE, body: { dryRun: ["All"] } },
  { path: ONE },
  { method: "DELETE", path: ONE },
  { method: "DELETE", path: ONE },
  { method: "POST", path: MAPS, body: named("two") },
  { method: "POST", path: `${MAPS}?dryRun=All`, body: named("two") },
  { method: "POST", path: MAPS, body: named("one") },
  { method: "POST", path: MAPS, body: { metadata: { generateName: "one-" } } },
  { method: "POST", path: `${ONE}/services`, body: SERVICE },
  {
    method: "POST",
    path: `/apis/discovery.k8s.io/v1/namespaces/going/endpointslices`,
    body: { ...named("one"), addressType: "IPv4", endpoints: [] },
  },
  {
    method: "PATCH",
    path: `${MAPS}/three?fieldManager=me`,
    headers: APPLY,
    body: { apiVersion: "v1", kind: "ConfigMap", ...named("three") },
  },
  { method: "PUT", path: `${MAPS}/one`, body: { ...named("one"), data: { a: "b" } } },
  { method: "PATCH", path: `${MAPS}/one`, headers: MERGE, body: { data: { a: "c" } } },
  { method: "PUT", path: ONE, body: named("going", { labels: { c: "d" } }) },
  {
    method: "PUT",
    path: `${ONE}/finalize`,
    body: { ...named("going", { labels: { c: "d" } }), spec: { finalizers: [] } },
  },
  { path: ONE },
  { path: `${MAPS}/one` },
  ...["default", "kube-system", "kube-public", "there-is-none"].map((name) => {
    return { method: "DELETE", path: `${NAMESPACES}/${name}` };
  }),
  { method: "DELETE", path: `${NAMESPACES}/default?dryRun=All` },
  { method: "DELETE", path: NAMESPACES },
  { method: "POST", path: NAMESPACES, body: named("kept", { finalizers: ["x.io/y"] }) },
  { method: "DELETE", path: `${NAMESPACES}/kept` },
  {
    method: "PUT",
    path: `${NAMESPACES}/kept/finalize`,
    body: { ...named("kept"), spec: { finalizers: [] } },
  },
  { path: `${NAMESPACES}/kept` },
  {
    method: "PATCH",
    path: `${NAMESPACES}/kept`,
    headers: MERGE,
    body: { metadata: { finalizers: null } },
  },
  { path: `${NAMESPACES}/kept` },
];

/** What was answered otherwise. */
export async function namespaceDifferences(both: BothServers): Promise<readonly string[]> {
  const differences: string[] = [];
  for (const step of STEPS) {
    const answers = await both.ask(USER, step);
    const [own, other] = answers.map(said);
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
  readonly spec?: { readonly finalizers?: readonly string[] };
  readonly status?: { readonly phase?: string };
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
  };
}

function said({ code, text }: Answered): string {
  const body = JSON.parse(text) as Body;
  const { kind, message, reason, details, spec, status, metadata } = body;
  // That something is missing is told in other words here.
  if (code === 403) return JSON.stringify({ code, message, reason, details });
  if (code >= 400) return JSON.stringify({ code, reason });
  if (kind !== "Namespace") return JSON.stringify({ code, kind });
  const { labels, finalizers = [], deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  return JSON.stringify({
    ...{ code, finalizers, deletionGracePeriodSeconds, phase: status?.phase },
    isMarked: deletionTimestamp !== undefined,
    labels: Object.entries(labels ?? {}).sort(),
    held: spec?.finalizers ?? [],
  });
}
