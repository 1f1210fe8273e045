//! Wasm services (`bootstrap_extensions`) in real Envoy and in `graylane envoy -c`: where they run,
//! and that filters reach them through a shared queue.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { Envoy, findEnvoy, httpListener, socketAddress, wasmFilter } from "../support/envoy.ts";
import type { EnvoyOptions } from "../support/envoy.ts";
import { ask, COMMAND } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const WORKER_COUNT = 2;
const REQUEST_COUNT = 5;
const UNTIL_MS_MAX = 60_000;
const SERVICE = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService";

/**
 * Configured with one byte it is the service: registers the queue "q", ticks, and logs "item" for
 * what comes in the queue. Otherwise it is the filter: each request puts "i" into the queue of the VM
 * "v" and goes on.
 */
const GUEST = guest({
  imports: `(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_resolve_shared_queue"
      (func $resolve (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "qvitickitemnone")
    (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
      (if (i32.eq (local.get $size) (i32.const 1)) (then
        (drop (call $register (i32.const 16) (i32.const 1) (i32.const 64)))
        (drop (call $tick (i32.const 50)))))
      (i32.const 1))
    (func (export "proxy_on_tick") (param $root i32)
      (drop (call $log (i32.const 2) (i32.const 19) (i32.const 4))))
    (func (export "proxy_on_queue_ready") (param $root i32) (param $token i32)
      (if (i32.eqz (call $dequeue (local.get $token) (i32.const 72) (i32.const 76)))
        (then (drop (call $log (i32.const 2) (i32.const 23) (i32.const 4))))))
    (func (export "proxy_on_request_headers") (param $id i32) (param $count i32) (param i32)
      (result i32)
      (if (call $resolve
          (i32.const 17) (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 64))
        (then (drop (call $log (i32.const 2) (i32.const 27) (i32.const 4))))
        (else (drop
          (call $enqueue (i32.load (i32.const 64)) (i32.const 18) (i32.const 1)))))
      (i32.const 0))`,
});

const binary = await findEnvoy();
const engines: readonly {
  readonly name: string;
  readonly program: Pick<EnvoyOptions, "binary" | "words">;
  readonly skip: string | false;
  /** Of a service that is no singleton: Envoy's main thread has one as well. */
  readonly vmCount: number;
}[] = [
  {
    name: "graylane envoy",
    program: { binary: process.execPath, words: [COMMAND, "envoy"] },
    skip: false,
    vmCount: WORKER_COUNT,
  },
  {
    name: "Envoy",
    program: { binary: binary.kind === "found" ? binary.path : "" },
    skip: binary.kind === "missing" ? binary.reason : false,
    vmCount: WORKER_COUNT + 1,
  },
];

const folder = mkdtempSync(join(tmpdir(), "graylane-service-"));
const path = join(folder, "service.wasm");
writeFileSync(path, GUEST);
after(() => {
  rmSync(folder, { recursive: true });
});

function service(singleton: boolean, configuration = "s"): object {
  const config = {
    ...{ name: "the-service", root_id: "service" },
    vm_config: {
      ...{ vm_id: "v", runtime: "envoy.wasm.runtime.v8" },
      code: { local: { filename: path } },
    },
    configuration: { "@type": "x/google.protobuf.StringValue", value: configuration },
  };
  return {
    name: "envoy.bootstrap.wasm",
    typed_config: { "@type": SERVICE, singleton, config },
  };
}

function bootstrap(port: number, extension: object): (admin: number) => object {
  const answer = { match: { prefix: "/" }, direct_response: { status: 200 } };
  const listener = httpListener(port, [wasmFilter("filter", path, "{}")], [answer]);
  return (admin) => ({
    admin: { address: socketAddress(admin) },
    node: { id: "graylane-test", cluster: "graylane-test" },
    bootstrap_extensions: [extension],
    static_resources: { listeners: [listener] },
  });
}

async function until(what: () => string, isSo: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + UNTIL_MS_MAX;
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() < endMs, what());
    await delay(systemClock, 20);
  }
}

for (const { name, program, skip, vmCount } of engines) {
  for (const singleton of [true, false]) {
    const kind = singleton ? "a singleton" : "one in each worker";
    suite(`a service, ${kind}, in ${name}`, { skip, timeout: 240_000 }, () => {
      let envoy: Envoy;
      let port = 0;
      before(async () => {
        port = await freePort();
        envoy = await Envoy.start({
          ...program,
          bootstrap: bootstrap(port, service(singleton)),
          concurrency: WORKER_COUNT,
          componentLogLevel: "wasm:info",
        });
      });
      after(() => envoy.stop());

      const lines = (word: string): string[] =>
        [
          ...envoy.log.matchAll(
            new RegExp(
              `\\[(\\d+)\\]\\[info\\]\\[wasm\\].*wasm log (?:the-service )?service v: ${word}$`,
              "gm",
            ),
          ),
        ].map(([, id = ""]) => id);

      test("it ticks where it runs, and nowhere else", async () => {
        const wanted = singleton ? 1 : vmCount;
        const places = (): number => new Set(lines("tick")).size;
        await until(
          () => `${places()} places of ${wanted}`,
          () => places() >= wanted,
        );
        assert.equal(places(), wanted);
      });

      test("what filters put into its queue comes to it, once", async () => {
        for (let index = 0; index < REQUEST_COUNT; index++) {
          assert.equal((await ask(`http://127.0.0.1:${port}`)).status, 200);
        }
        const items = (): number => lines("item").length;
        await until(
          () => `${items()} items`,
          () => items() >= REQUEST_COUNT,
        );
        assert.equal(items(), REQUEST_COUNT);
        assert.doesNotMatch(envoy.log, / none$/m);
      });

      if (!singleton || name === "Envoy") return;
      test("when its process is killed another takes its place", async () => {
        const [first = ""] = lines("tick");
        process.kill(Number(first), "SIGKILL");
        const others = (): number => new Set(lines("tick")).size - 1;
        await until(
          () => "nobody ticks",
          () => others() > 0,
        );
        assert.equal(others(), 1);
        assert.equal((await ask(`http://127.0.0.1:${port}`)).status, 200);
      });
    });
  }

  test(`a service whose code is wrong keeps ${name} from starting`, { skip }, async () => {
    const refused = join(folder, "empty.wasm");
    writeFileSync(refused, "no code");
    const extension = JSON.parse(
      JSON.stringify(service(true)).replaceAll("service.wasm", "empty.wasm"),
    ) as object;
    const options = { ...program, bootstrap: bootstrap(await freePort(), extension) };
    await assert.rejects(Envoy.start(options), /Unable to create Wasm/);
  });
}
