//! The same plug-in by several SDKs and compilers does the same in our host: headers, properties,
//! shared data, metrics, timers, local replies; and the start of each language's runtime by WASI.
//! Bodies, trailers and calls out are compared with Envoy in sdk-plugins-in-envoy.test.ts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { StreamAction } from "../../src/wasm/enums.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { testServices } from "../support/plugin.ts";
import type { GuestFunction } from "../../src/wasm/guest-probe.ts";
import type { TestServices } from "../support/plugin.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const CONFIGURATION = '{"greeting":"hello"}';
const TICK_MS = 100;
/** From the host function that fails to the callback. */
const NAMED_FRAMES: Readonly<Record<string, readonly string[]>> = {
  rust: [
    "proxy_wasm::hostcalls::get_property",
    "proxy_wasm::traits::Context::get_property",
    "<graylane_test_rust::Http as proxy_wasm::traits::HttpContext>::on_http_request_headers",
    "proxy_on_request_headers",
  ],
  c: ["proxy_on_request_headers"],
};

async function start(
  path: string,
  configuration: string,
  services: TestServices = testServices(),
): Promise<{ plugin: Plugin | LoadFault; services: TestServices }> {
  const module = await loadModule(readFileSync(path), { name: "sdk" });
  assert.ok(!(module instanceof LoadFault), JSON.stringify(module));
  const settings = {
    name: "sdk",
    rootId: "",
    vmId: "",
    version: "",
    configuration: Buffer.from(configuration),
    vmConfiguration: new Uint8Array(0),
    env: {},
  };
  return { plugin: Plugin.start(module, settings, services), services };
}

function hostOf(path: string): FakeStreamHost {
  const host = new FakeStreamHost(
    [
      [":method", "GET"],
      [":path", path],
      ["x-user", "jack"],
      ["x-secret", "s"],
    ],
    [[":status", "200"]],
  );
  host.properties.set("request.path", Buffer.from(path));
  return host;
}

function assertNoError({ lines }: TestServices): void {
  assert.deepEqual(
    lines.filter((line) => /^(error|critical)/.test(line)),
    [],
  );
}

for (const language of ["go", "rust", "assemblyscript", "c"]) {
  const built = sdkPlugin(language);
  const skip = built.kind === "missing" ? built.reason : false;
  const path = built.kind === "built" ? built.path : "";

  suite(language, { skip }, () => {
    test("it starts, reads its configuration and logs", async () => {
      const { plugin, services } = await start(path, CONFIGURATION);
      assert.ok(plugin instanceof Plugin, JSON.stringify(plugin));
      // AssemblyScript's SDK logs by WASI, with the level in the text.
      const level = language === "assemblyscript" ? "[INFO]: " : "";
      assert.ok(services.lines.includes(`info: ${level}configured with ${CONFIGURATION}`));
      if (language === "c") assert.ok(services.lines.includes("info: started by WASI"));
      plugin.stop();
    });

    test("its crash report names its functions, innermost first, where it has names", async () => {
      const services = testServices();
      let isBroken = false;
      const probe = {
        callback: (_name: string, run: GuestFunction) => run,
        hostFunction: (name: string, run: GuestFunction): GuestFunction =>
          /^proxy_(get|add|replace|set)_(header|property)/.test(name)
            ? (...parameters: never[]): unknown => {
                if (isBroken) throw new Error("broken on purpose");
                return run(...parameters);
              }
            : run,
      };
      const { plugin } = await start(path, CONFIGURATION, { ...services, probe });
      assert.ok(plugin instanceof Plugin);
      const stream = plugin.createStream(hostOf("/orders"));
      assert.ok(stream !== null);
      isBroken = true;
      stream.onRequestHeaders(true);
      const { frames = [] } = stream.trap ?? {};
      if (NAMED_FRAMES[language] === undefined) {
        // These two are built without names.
        assert.ok(frames.length > 0);
        for (const frame of frames) assert.match(frame, /^wasm-function\[\d+\]$/);
        return;
      }
      const names = frames.map((frame) => frame.replace(/ \[\d+\]$/, ""));
      assert.deepEqual(names, NAMED_FRAMES[language]);
    });

    test("it refuses to run without a configuration", async () => {
      const { plugin } = await start(path, "");
      assert.ok(plugin instanceof LoadFault);
      assert.equal(plugin.kind, "configure_refused");
    });

    test("it edits headers by properties and shared data, and counts", async () => {
      const { plugin, services } = await start(path, CONFIGURATION);
      assert.ok(plugin instanceof Plugin);
      for (const count of [1, 2, 3]) {
        const host = hostOf("/orders");
        const stream = plugin.createStream(host);
        assert.ok(stream !== null);
        assert.equal(stream.onRequestHeaders(true), StreamAction.continue);
        assert.equal(host.request.get("x-sdk"), language);
        assert.equal(host.request.get("x-sdk-path"), "/orders");
        assert.equal(host.request.get("x-sdk-count"), String(count));
        assert.equal(host.request.get("x-user"), "JACK");
        assert.equal(host.request.get("x-secret"), undefined);
        assert.equal(stream.onResponseHeaders(true), StreamAction.continue);
        assert.equal(host.response?.get("x-sdk"), language);
        stream.onLog();
        stream.onDone();
      }
      const metric = (name: string): number | undefined =>
        [...services.metrics].find((one) => one.name === `sdk_${language}_${name}`)?.value;
      assert.equal(metric("requests"), 3);
      assert.equal(metric("active"), 0);
      assertNoError(services);
      plugin.stop();
    });

    test("it answers itself when it is asked to", async () => {
      const { plugin, services } = await start(path, CONFIGURATION);
      assert.ok(plugin instanceof Plugin);
      const host = hostOf("/reply");
      assert.equal(plugin.createStream(host)?.onRequestHeaders(true), StreamAction.stopAll);
      const [response] = host.responses;
      assert.equal(response?.status, 418);
      assert.equal(Buffer.from(response.body).toString(), `short and stout: ${language}`);
      assertNoError(services);
      plugin.stop();
    });

    test("its timer runs", async () => {
      const { plugin, services } = await start(path, CONFIGURATION);
      assert.ok(plugin instanceof Plugin);
      for (let tick = 0; tick < 3; tick++) services.clock.advance(TICK_MS);
      const host = hostOf("/orders");
      const stream = plugin.createStream(host);
      stream?.onRequestHeaders(true);
      stream?.onResponseHeaders(true);
      assert.equal(host.response?.get("x-ticks"), "3");
      assertNoError(services);
      plugin.stop();
    });
  });
}
