//! Every route with every method, role and namespace, against a table of who may do what that is
//! written here by hand, of plain words: it knows no rule, no binding and no wildcard.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { ROUTES } from "../routes.ts";
import { agentOf } from "../testing/ask-with-certificate.ts";
import { makeUserPairs } from "../testing/certificate-cases.ts";
import { messageOf, Served } from "../testing/served.ts";
import { ASSIGNMENTS, TABLE, USERS, type Entitled } from "../testing/policy.ts";
import { ClientCertificates } from "./client-certificates.ts";
import { authenticated } from "./user.ts";

const AT_ONCE = 16;
/** Every so many requests show a certificate in place of the token. */
const BY_CERTIFICATE = 37;
const directory = mkdtempSync(join(tmpdir(), "graylane-matrix-"));
const agents = new Map<string, Agent>();
let served: Served;

before(async () => {
  const tokens = new Map(
    Object.entries(USERS).map(([token, groups]) => {
      return [token, authenticated({ name: token, uid: "", groups })] as const;
    }),
  );
  const { authority, pairs } = await makeUserPairs(USERS);
  const file = join(directory, "ca.crt");
  writeFileSync(file, authority);
  for (const [name, pair] of pairs) agents.set(name, agentOf(pair, { maxSockets: AT_ONCE }));
  served = await Served.start(
    {
      clock: new FakeClock(Date.UTC(2026, 0)),
      tokens: { userOf: (token) => tokens.get(token) ?? null },
      certificates: new ClientCertificates(file, (fault) => assert.fail(fault)),
    },
    pairs.get("nobody"),
  );
  for (const object of ASSIGNMENTS) {
    const result = await served.store.create(object);
    assert.ok(result.ok, JSON.stringify(result));
  }
});

after(async () => {
  rmSync(directory, { recursive: true });
  for (const agent of agents.values()) agent.destroy();
  await served.stop();
});

/** A request as the test reads it. */
interface Case {
  readonly method: string;
  readonly path: string;
  /** Null: not of a resource. */
  readonly resource: string | null;
  readonly namespace: string;
  readonly name: string;
  readonly verb: string;
}

const SAMPLES: readonly (readonly [group: string, plurals: readonly string[]])[] = [
  ["", ["configmaps", "secrets", "pods", "namespaces"]],
  ["apps", ["deployments"]],
  ["graylane.io", ["lanes"]],
  ["rbac.authorization.k8s.io", ["roles", "clusterroles"]],
];
const VERBS: Record<string, readonly [one: string, many: string]> = {
  GET: ["get", "list"],
  POST: ["create", "create"],
  PUT: ["update", "update"],
  PATCH: ["patch", "patch"],
  DELETE: ["delete", "deletecollection"],
};

/** The routes of the router with every sample in the place of their parameters. */
function* cases(): Generator<Case> {
  for (const { path, isOpen } of ROUTES) {
    if (!isOpen) for (const sampled of pathsOf(path)) yield* casesOf(sampled);
  }
}

function* pathsOf(template: string): Generator<string> {
  const samples = template.startsWith("/api/") ? SAMPLES.slice(0, 1) : SAMPLES.slice(1);
  const has = (name: string): boolean => template.includes(`:${name}`);
  const namespaces = has("namespace") ? ["a", "b"] : [""];
  const names = has("name/") || !has("name") ? ["one"] : ["one", "two"];
  for (const [group, plurals] of has("group") ? samples : samples.slice(0, 1)) {
    const version = group === "graylane.io" ? "v1alpha1" : "v1";
    const filled = template.replace(":version", version).replace(":group", group);
    for (const plural of has("plural") ? plurals : [""]) {
      for (const namespace of namespaces) {
        const there = filled.replace(":namespace", namespace).replace(":plural", plural);
        for (const name of names) yield there.replace(":name", name);
      }
    }
  }
}

interface Said {
  readonly group: string;
  readonly namespace: string;
  readonly parts: readonly string[];
}

/** Null: no resource. */
function saidIn(path: string): Said | null {
  // `/namespaces/one`, its status and its end are of the Namespace, and in it.
  if (/^\/api\/v1\/namespaces(?:\/[^/]+)?(?:\/(?:status|finalize))?$/.test(path)) {
    const parts = path.slice("/api/v1/".length).split("/");
    return { group: "", namespace: parts[1] ?? "", parts };
  }
  const said = /^\/(?:api|apis\/([^/]+))\/v1(?:alpha1)?(?:\/namespaces\/([^/]+))?\/(.+)$/.exec(
    path,
  );
  if (said === null) return null;
  const [, group = "", namespace = "", rest = ""] = said;
  return { group, namespace, parts: rest.split("/") };
}

function* casesOf(path: string): Generator<Case> {
  const said = saidIn(path);
  for (const [method, verbs] of Object.entries(VERBS)) {
    if (said === null) {
      const verb = method.toLowerCase();
      yield { method, path, resource: null, namespace: "", name: "", verb };
      continue;
    }
    const { group, namespace, parts } = said;
    const [plural = "", name = "", sub] = parts;
    const whole = group === "" ? plural : `${plural}.${group}`;
    const where = { resource: sub === undefined ? whole : `${whole}/${sub}`, namespace, name };
    const verb = verbs[name === "" ? 1 : 0];
    yield { method, path, ...where, verb };
    if (verb === "list") yield { method, path: `${path}?watch=1`, ...where, verb: "watch" };
  }
}

function isEntitled(
  rows: readonly Entitled[],
  { resource, namespace, name, verb, path }: Case,
): boolean {
  return rows.some((row) => {
    if (!row.verbs.split(" ").includes(verb)) return false;
    if (resource === null) return row.paths?.split(" ").includes(path) === true;
    if (row.names !== undefined && !row.names.split(" ").includes(name)) return false;
    const isThere = row.namespaces === "all" || row.namespaces?.split(" ").includes(namespace);
    return isThere === true && row.resources?.split(" ").includes(resource) === true;
  });
}

/** As Kubernetes says it. */
function refusal(user: string, { resource, namespace, name, verb, path }: Case): string {
  if (resource === null) return `forbidden: User "${user}" cannot ${verb} path "${path}"`;
  const [whole = "", sub] = resource.split("/");
  const dot = whole.indexOf(".");
  const [plural, group] = dot === -1 ? [whole, ""] : [whole.slice(0, dot), whole.slice(dot + 1)];
  const what = name === "" ? whole : `${whole} "${name}"`;
  const asked = sub === undefined ? plural : `${plural}/${sub}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const cannot = `cannot ${verb} resource "${asked}" in API group "${group}" ${where}`;
  return `${what} is forbidden: User "${user}" ${cannot}`;
}

for (const user of Object.keys(USERS)) {
  test(`each request of ${user} is answered as the table says`, async (t) => {
    const rows = TABLE[user] ?? assert.fail(`the table has no rows for ${user}`);
    const seen = { allowed: 0, refused: 0 };
    const agent = agents.get(user);
    const judge = async (each: Case, at: number): Promise<void> => {
      const { method, path } = each;
      const query = method === "GET" ? path : `${path}?dryRun=All`;
      const shown = at % BY_CERTIFICATE === 0 && agent ? { agent, token: "" } : { token: user };
      const body = method === "GET" ? undefined : {};
      const answer = await served.send({ method, path: query, body, ...shown });
      const may = rows === "everything" || isEntitled(rows, each);
      seen[may ? "allowed" : "refused"] += 1;
      assert.notEqual(answer.code, 401);
      if (may) assert.notEqual(answer.code, 403, `${user} may ${method} ${path}: ${answer.text}`);
      else {
        assert.equal(answer.code, 403, `${user} may not ${method} ${path}`);
        assert.equal(messageOf(answer), refusal(user, each));
      }
    };
    const all = [...cases()];
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const some = all.slice(at, at + AT_ONCE);
      await Promise.all(some.map((each, index) => judge(each, at + index)));
    }
    t.diagnostic(`${seen.allowed} allowed, ${seen.refused} refused`);
    assert.ok(seen.allowed > 0 && seen.allowed + seen.refused > 500, JSON.stringify(seen));
  });
}
