import assert from "node:assert/strict";
import { test } from "node:test";
import type { PluginLogLine, PluginLogQuery } from "../api/types.ts";
import { FakeClock } from "../base/fake-clock.ts";
import { PluginLines } from "../dataplane/plugin-lines.ts";
import { FOLLOW_POLL_MS, pluginLog } from "./plugin-log.ts";
import type { LoggingWorker, PluginLogSource } from "./plugin-log.ts";

const QUERY = { plugin: "shop/cookies", follow: false, tailLines: null, sinceMs: 0 };
const PLUGINS = ["shop/cookies", "istio-system/tagging", "shop/mock@higress"];

class Worker implements LoggingWorker {
  readonly id: string;
  readonly lines: PluginLines = new PluginLines();

  constructor(id: string) {
    this.id = id;
  }

  log(timeMs: number, message: string): this {
    this.lines.add("shop/cookies", { timeMs, level: 2, rootId: "", message });
    return this;
  }

  pluginLines(plugin: string, after: number): ReturnType<LoggingWorker["pluginLines"]> {
    return Promise.resolve(this.lines.after(plugin, after));
  }
}

function sourceOf(workers: readonly LoggingWorker[]): PluginLogSource {
  const { signal } = new AbortController();
  return { clock: new FakeClock(), signal, workers: () => workers, plugins: PLUGINS };
}

function lines(query: PluginLogQuery, source: PluginLogSource): AsyncIterator<PluginLogLine> {
  const found = pluginLog(query, source);
  if (typeof found === "string") throw new Error(found);
  return found[Symbol.asyncIterator]();
}

async function texts(query: PluginLogQuery, workers: readonly LoggingWorker[]): Promise<string[]> {
  const read = lines(query, sourceOf(workers));
  const found: string[] = [];
  for (let next = await read.next(); next.done !== true; next = await read.next()) {
    found.push(`${next.value.worker} ${next.value.message}`);
  }
  return found;
}

test("lines of several workers are merged by time, and cut by tail and since", async () => {
  const one = new Worker("one").log(1_000, "a").log(3_000, "c");
  const two = new Worker("two").log(2_000, "b");
  assert.deepEqual(await texts(QUERY, [one, two]), ["one a", "two b", "one c"]);
  assert.deepEqual(await texts({ ...QUERY, tailLines: 2 }, [one, two]), ["two b", "one c"]);
  assert.deepEqual(await texts({ ...QUERY, tailLines: 0 }, [one, two]), []);
  assert.deepEqual(await texts({ ...QUERY, sinceMs: 2_000 }, [one, two]), ["two b", "one c"]);
});

test("a worker that has died costs its own lines only", async () => {
  const dead = { id: "dead", pluginLines: () => Promise.reject(new Error("gone")) };
  assert.deepEqual(await texts(QUERY, [dead, new Worker("two").log(1, "b")]), ["two b"]);
});

test("a follower gets what comes, also of new workers, and hears what it missed", async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const one = new Worker("one").log(1, "a");
  const workers = [one];
  const source = { ...sourceOf([]), clock, signal: abort.signal, workers: () => workers };
  const read = lines({ ...QUERY, follow: true }, source);
  const next = async (): Promise<string> => {
    const messages: string[] = [];
    void read.next().then(({ value }: IteratorResult<PluginLogLine, unknown>) => {
      messages.push((value as PluginLogLine | undefined)?.message ?? "end");
    });
    while (messages.length === 0) {
      clock.advance(FOLLOW_POLL_MS);
      await new Promise(setImmediate);
    }
    return messages.join();
  };
  assert.equal(await next(), "a");
  one.log(2, "b");
  workers.push(new Worker("two").log(3, "c"));
  assert.deepEqual([await next(), await next()], ["b", "c"]);
  for (let count = 0; count < 1_002; count++) one.log(4, `line ${count}`);
  assert.equal(await next(), "2 lines left out: they came too fast");
  assert.equal(await next(), "line 2");
  abort.abort();
  await read.return?.();
});

const names = [
  { plugin: "shop/cookie", want: "no plug-in shop/cookie runs; did you mean shop/cookies?" },
  {
    plugin: "default/tagging",
    want: "no plug-in default/tagging runs; did you mean istio-system/tagging?",
  },
  {
    plugin: "default/tagginq",
    want: "no plug-in default/tagginq runs; did you mean istio-system/tagging?",
  },
  {
    plugin: "default/other-thing",
    want: `no plug-in default/other-thing runs; those that run are ${PLUGINS.join(", ")}`,
  },
];

for (const { plugin, want } of names) {
  test(`asked for ${plugin}, it says what there is`, () => {
    assert.equal(pluginLog({ ...QUERY, plugin }, sourceOf([])), want);
  });
}

test("the kind may be left out of a name where it is clear", () => {
  assert.notEqual(typeof pluginLog({ ...QUERY, plugin: "shop/mock" }, sourceOf([])), "string");
  const plugins = ["a/b@higress", "a/b@trafficextension"];
  const said = pluginLog({ ...QUERY, plugin: "a/b" }, { ...sourceOf([]), plugins });
  assert.equal(said, "several plug-ins are called a/b: a/b@higress, a/b@trafficextension");
});

test("without any plug-in it says where to look", () => {
  const said = pluginLog(QUERY, { ...sourceOf([]), plugins: [] });
  const want = "no plug-in shop/cookies runs; none does: graylane get wasmplugin -A says why";
  assert.equal(said, want);
});
