//! Pages of lists over HTTP: one state on all pages, tokens, and what is too old to go on.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { SeededPrng } from "../base/prng.ts";
import { configMap, configMapKey } from "../controlplane/store/store-cases.ts";
import type { Resource } from "../resources/object.ts";
import { messageOf, Served } from "./testing/served.ts";

const MAPS = "/api/v1/configmaps";
const TABLE = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" };

let served: Served;

beforeEach(async () => {
  served = await Served.start();
});

afterEach(async () => {
  await served.stop();
});

interface Page {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly Resource[];
  readonly rows: readonly { readonly cells: readonly string[] }[];
}

async function page(query: string, headers?: Record<string, string>): Promise<Page> {
  const { code, text } = await served.send({
    path: `${MAPS}?${query}`,
    ...(headers && { headers }),
  });
  assert.equal(code, 200, text);
  return JSON.parse(text) as Page;
}

async function make(...names: readonly string[]): Promise<void> {
  for (const name of names) await served.store.create(configMap(name));
}

/** One change, of what is there or not. */
async function change(prng: SeededPrng): Promise<void> {
  const name = `m${prng.below(12)}`;
  const namespace = prng.below(2) === 0 ? "a" : "b";
  const isThere = served.store.get(configMapKey(name, namespace)) !== undefined;
  const object = configMap(name, String(prng.below(1_000)), namespace);
  if (!isThere) await served.store.create(object);
  else if (prng.below(2) === 0) await served.store.delete(configMapKey(name, namespace));
  else await served.store.update(object);
}

test("all pages of a list show the state of the first, whatever is written between", async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const prng = new SeededPrng(seed);
    for (let at = 0; at < 12; at += 1) await change(prng);
    const whole = served.store.list({ group: "", plural: "configmaps" });
    const seen: Resource[] = [];
    let token = "";
    do {
      const { metadata, items } = await page(`limit=${1 + prng.below(4)}&continue=${token}`);
      assert.equal(metadata.resourceVersion, String(whole.revision));
      seen.push(...items);
      const left = whole.items.length - seen.length;
      assert.equal(metadata.remainingItemCount, left === 0 ? undefined : left);
      token = metadata.continue ?? "";
      await change(prng);
    } while (token !== "");
    assert.deepEqual(seen, whole.items, `seed ${seed}`);
  }
});

test("tables are paged, and selected objects are, without a count of the rest", async () => {
  await make("a", "b", "c", "d");
  const first = await page("limit=3", TABLE);
  assert.deepEqual(
    first.rows.map(({ cells }) => cells[0]),
    ["a", "b", "c"],
  );
  assert.equal(first.metadata.remainingItemCount, 1);
  const { rows } = await page(`limit=3&continue=${first.metadata.continue}`, TABLE);
  assert.deepEqual(
    rows.map(({ cells }) => cells[0]),
    ["d"],
  );
  const selected = await page("limit=1&fieldSelector=metadata.name!=a");
  assert.equal(selected.items[0]?.metadata.name, "b");
  assert.equal(selected.metadata.remainingItemCount, undefined);
  assert.ok(selected.metadata.continue !== undefined);
});

test("a list that is too old is 410 with a token that goes on with what there is", async () => {
  await make("a", "b", "c");
  const { metadata } = await page("limit=1");
  for (let at = 0; at < 80; at += 1) await make(`d${at}`);
  const answer = await served.send({ path: `${MAPS}?limit=1&continue=${metadata.continue}` });
  assert.equal(answer.code, 410);
  const status = JSON.parse(answer.text) as {
    readonly reason: string;
    readonly metadata: { readonly continue: string };
  };
  assert.equal(status.reason, "Expired");
  assert.match(messageOf(answer), /^The provided continue parameter is too old to display/);
  const next = await page(`limit=1&continue=${status.metadata.continue}`);
  assert.equal(next.items[0]?.metadata.name, "b");
  assert.equal(next.metadata.resourceVersion, String(served.store.revision));
  const rest = await page(`continue=${next.metadata.continue}`);
  assert.equal(rest.items.length, 81);
  const old = await served.send({ path: `${MAPS}?resourceVersionMatch=Exact&resourceVersion=1` });
  assert.deepEqual([old.code, messageOf(old).slice(-9)], [410, "too old.".padStart(9)]);
});

test("a token is good for its own list only", async () => {
  await make("a", "b", "c");
  const { metadata } = await page("limit=1");
  const token = metadata.continue ?? "";
  const others = [
    `/api/v1/namespaces/default/configmaps?continue=${token}`,
    `/api/v1/secrets?continue=${token}`,
    `${MAPS}?labelSelector=a&continue=${token}`,
    `${MAPS}?fieldSelector=metadata.name!=a&continue=${token}`,
    `${MAPS}?continue=${token.slice(0, -3)}`,
    `${MAPS}?continue=${Buffer.from('{"v":"graylane.io/v1","rv":-1}').toString("base64url")}`,
    `${MAPS}?continue=${"a".repeat(5_000)}`,
  ];
  for (const path of others) {
    const answer = await served.send({ path });
    assert.equal(answer.code, 400, path);
    assert.match(messageOf(answer), /^invalid continue token: continue key is not valid: it /);
  }
});

test("a page of a collection is deleted, and nothing beyond it", async () => {
  await make("a", "b", "c");
  const path = "/api/v1/namespaces/default/configmaps";
  const deleted = await served.send({ method: "DELETE", path: `${path}?limit=2` });
  assert.equal(deleted.code, 200, deleted.text);
  const { items } = await page("");
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ["c"],
  );
});

const BEGINS = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

test("a watch that begins with what there is says where that ends, as informers ask", async () => {
  await make("a", "b");
  const headers = { authorization: `Bearer ${"t".repeat(64)}` };
  const stop = new AbortController();
  const response = await fetch(
    `${served.server.url}${MAPS}?watch=1&allowWatchBookmarks=true&${BEGINS}`,
    { headers, signal: stop.signal },
  );
  const lines = linesOf(response);
  const seen = [await lines.next(), await lines.next(), await lines.next()];
  await make("c");
  seen.push(await lines.next());
  stop.abort();
  const told = seen.map(({ value }) => {
    const { type, object } = JSON.parse(String(value)) as { type: string; object: Resource };
    return [type, object.metadata.name, object.metadata.annotations];
  });
  assert.deepEqual(told, [
    ["ADDED", "a", undefined],
    ["ADDED", "b", undefined],
    ["BOOKMARK", "", { "k8s.io/initial-events-end": "true" }],
    ["ADDED", "c", undefined],
  ]);
});

async function* linesOf(response: Response): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    const parts = (text + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    text = parts.pop() ?? "";
    yield* parts;
  }
}
