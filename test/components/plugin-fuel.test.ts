//! Plug-ins of real SDKs and compilers do with fuel what they do without, and loading a large one
//! leaves the event loop its turns. Prints what both cost.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { testServices } from "../support/plugin.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const REQUESTS = 50;

interface Load {
  readonly module: PluginModule;
  readonly tookMs: number;
  /** The longest time that the event loop had to wait for its turn. */
  readonly gapMs: number;
}

async function load(bytes: Uint8Array, fuel: boolean): Promise<Load> {
  let [gapMs, isRunning, startMs] = [0, true, performance.now()];
  let lastMs = startMs;
  const turn = (): void => {
    const nowMs = performance.now();
    gapMs = Math.max(gapMs, nowMs - lastMs);
    lastMs = nowMs;
    if (isRunning) setImmediate(turn);
  };
  setImmediate(turn);
  startMs = performance.now();
  const module = await loadModule(bytes, { name: "sdk", fuel });
  const tookMs = performance.now() - startMs;
  isRunning = false;
  assert.ok(module instanceof PluginModule, JSON.stringify(module));
  return { module, tookMs, gapMs };
}

/** Everything that the host can see of configure, ticks and some requests. */
function transcript(module: PluginModule, configuration: string): unknown {
  const services = testServices();
  const settings = {
    ...{ name: "sdk", rootId: "", vmId: "", env: {} },
    configuration: Buffer.from(configuration),
    vmConfiguration: new Uint8Array(0),
  };
  const plugin = Plugin.start(module, settings, services);
  assert.ok(plugin instanceof Plugin, JSON.stringify(plugin));
  const seen: unknown[] = [];
  for (let count = 0; count < REQUESTS; count++) {
    const host = new FakeStreamHost(
      [
        [":method", "GET"],
        [":path", `/foo?n=${count}`],
        [":authority", "www.example.com"],
        ["x-user", `user-${count}`],
      ],
      [[":status", "200"]],
    );
    const stream = plugin.createStream(host);
    assert.ok(stream !== null);
    const actions = [stream.onRequestHeaders(true), stream.onResponseHeaders(true)];
    stream.finish();
    services.clock.advance(40);
    const { events, responses } = host;
    seen.push({ actions, events, responses, request: host.request, response: host.response });
  }
  return { seen, lines: services.lines, metrics: [...services.metrics] };
}

const CASES = [
  { name: "go", configuration: '{"greeting":"hello"}' },
  { name: "rust", configuration: '{"greeting":"hello"}' },
  { name: "c", configuration: '{"greeting":"hello"}' },
  { name: "higress-mock-response", configuration: "{}" },
];
for (const { name, configuration } of CASES) {
  test(`the plug-in ${name} does with fuel what it does without`, async (t) => {
    const built = sdkPlugin(name);
    if (built.kind === "missing") {
      assert.notEqual(process.env["CI"], "true", built.reason);
      t.skip(built.reason);
      return;
    }
    const bytes = readFileSync(built.path);
    const plain = await load(bytes, false);
    const fueled = await load(bytes, true);
    assert.deepEqual(
      transcript(fueled.module, configuration),
      transcript(plain.module, configuration),
    );
    console.log(
      `${name}: ${(bytes.length / 1e6).toFixed(1)} MB, loaded in ${fueled.tookMs.toFixed(0)} ms ` +
        `(${plain.tookMs.toFixed(0)} without fuel), longest gap ${fueled.gapMs.toFixed(0)} ms`,
    );
  });
}
