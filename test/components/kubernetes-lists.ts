//! The same lists of our API server and of a real one: pages, revisions, and what is refused.

import type { Answered } from "../../src/server/testing/served.ts";
import type { BothServers } from "./kubernetes-access.ts";

const USER = "root";
const PLACE = "/api/v1/namespaces/pages/configmaps";
const NAMES = ["a", "a-b", "a.b", "b", "c0", "ca"];
/** Selected by a label. */
const LABELLED = new Set(["a", "b", "c0"]);
const LABEL = "labelSelector=of%3Dpages";
const NOT_FIRST = "fieldSelector=metadata.name!%3Da";
const FAR = "resourceVersion=999999999";
const MATCH = "resourceVersionMatch";

/** `%` stands for the token of a first page of two, `#` for the revision before the last change. */
const QUERIES = [
  ...["limit=2", "limit=2&continue=%", "continue=%", "limit=1&continue=%", "limit=4&continue=%"],
  ...["limit=6", "limit=7", "limit=0", "limit=-1", "limit=x", "limit=2.5", "limit=", "limit=5"],
  ...[`limit=2&${LABEL}`, `limit=3&${LABEL}`, `limit=2&${NOT_FIRST}`, `limit=9&${LABEL}`],
  ...["continue=%&resourceVersion=1", "continue=%&resourceVersion=0", `continue=%&${MATCH}=Exact`],
  ...[`${MATCH}=Exact`, `${MATCH}=Exact&resourceVersion=0`, `${MATCH}=exact&resourceVersion=1`],
  ...[`${MATCH}=Foo`, `${MATCH}=Exact&resourceVersion=#`, `${MATCH}=NotOlderThan`],
  ...[`${MATCH}=NotOlderThan&resourceVersion=#`, "resourceVersion=#", "limit=2&resourceVersion=#"],
  ...[`${MATCH}=Exact&${FAR}`, FAR, `limit=2&${FAR}`, "resourceVersion=abc", "resourceVersion=-1"],
  ...["sendInitialEvents=true", "sendInitialEvents=false", `${MATCH}=NotOlderThan&continue=%`],
  ...["watch=1&sendInitialEvents=true", `watch=1&${MATCH}=NotOlderThan`, "watch=1&continue=%"],
  `watch=1&sendInitialEvents=true&${MATCH}=Exact&resourceVersion=1`,
  `watch=1&sendInitialEvents=false&${MATCH}=Foo&continue=%`,
];
/** Kubernetes takes a token that was made for other selectors; what it is for is its own. */
const NO_TOKENS = ["continue=!!", "continue=zzz", "limit=2&continue=e30"];
const FORMS = ["application/json", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"];

/** A line for each query that is answered otherwise. */
export async function listDifferences(both: BothServers): Promise<readonly string[]> {
  await load(both);
  const [tokens, befores] = [await tokensOf(both), await revisionsOf(both)];
  await demand(both, { method: "POST", path: PLACE, body: named("ab") });
  const asked = [...QUERIES, ...NO_TOKENS].flatMap((query) =>
    FORMS.map(async (accept) => {
      const paths = [0, 1].map((at) => {
        const text = query.replaceAll("%3D", "=").replace("continue=%", `continue=${tokens[at]}`);
        return `${PLACE}?${text.replace("=#", `=${befores[at]}`)}`;
      });
      const answers = await both.askEach(USER, paths, { accept });
      const [own, other] = answers.map((answer) => said(answer, NO_TOKENS.includes(query)));
      return own === other ? [] : [`${query} ${accept}\nours:   ${own}\ntheirs: ${other}`];
    }),
  );
  return (await Promise.all(asked)).flat();
}

function named(name: string): object {
  return { metadata: { name, ...(LABELLED.has(name) && { labels: { of: "pages" } }) } };
}

async function load(both: BothServers): Promise<void> {
  const body = { metadata: { name: "pages" } };
  await demand(both, { method: "POST", path: "/api/v1/namespaces", body });
  for (const name of NAMES) await demand(both, { method: "POST", path: PLACE, body: named(name) });
}

async function demand(
  both: BothServers,
  sent: { readonly method: string; readonly path: string; readonly body: object },
): Promise<void> {
  for (const { code, text } of await both.ask(USER, sent)) {
    if (code !== 201) throw new Error(`${sent.path}: ${code} ${text}`);
  }
}

interface Body {
  readonly metadata: {
    readonly resourceVersion?: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items?: readonly { readonly metadata: { readonly name: string } }[];
  readonly rows?: readonly { readonly object: { readonly metadata: { readonly name: string } } }[];
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

async function tokensOf(both: BothServers): Promise<readonly string[]> {
  const answers = await both.ask(USER, { path: `${PLACE}?limit=2` });
  return answers.map(({ text }) => (JSON.parse(text) as Body).metadata.continue ?? "");
}

async function revisionsOf(both: BothServers): Promise<readonly string[]> {
  const answers = await both.ask(USER, { path: PLACE });
  return answers.map(({ text }) => (JSON.parse(text) as Body).metadata.resourceVersion ?? "");
}

/** Tokens and revisions are the servers' own. */
function said({ code, text }: Answered, isToken: boolean): string {
  const { metadata, items, rows, message, reason, details } = JSON.parse(text) as Body;
  if (items === undefined && rows === undefined) {
    const words = isToken ? message?.replace(/valid:.*/, "valid") : message;
    const general = words?.replace(/current: \d+/, "current: N");
    return JSON.stringify({ code, message: general, reason, details: withoutRetry(details) });
  }
  const names = (items ?? rows?.map(({ object }) => object))?.map((one) => one.metadata.name);
  const { remainingItemCount } = metadata;
  const goesOn = metadata.continue !== undefined && metadata.continue !== "";
  return JSON.stringify({ code, names, goesOn, remainingItemCount });
}

/** Kubernetes says it of lists out of its cache alone. */
function withoutRetry(details: Body["details"]): object | undefined {
  return details === undefined ? undefined : { ...details, retryAfterSeconds: undefined };
}
