import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { EnvoyLog } from "../../telemetry/envoy-log.ts";
import { LOG_LINES_PER_SECOND_MAX } from "./log-limiter.ts";
import { envoyPluginLog } from "./plugin-services.ts";

test("Envoy's log takes a number of lines a second, and says how many more came", () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const envoyLog = new EnvoyLog(clock, { main: "info", wasm: "info" }, (line) => lines.push(line));
  const { log } = envoyPluginLog(clock, envoyLog);
  const entry = { level: 2, message: "tick", plugin: "noisy", rootId: "r", vmId: "v" } as const;
  clock.advance(5_000);
  for (let count = 0; count < LOG_LINES_PER_SECOND_MAX + 7; count++) log(entry);
  log({ ...entry, plugin: "quiet" });
  for (let count = 0; count < LOG_LINES_PER_SECOND_MAX; count++) log({ ...entry, level: 1 });
  assert.equal(lines.length, LOG_LINES_PER_SECOND_MAX + 1, "another's line, no debug lines");
  clock.advance(1_000);
  const dropped = lines.at(-1);
  assert.equal(lines.length, LOG_LINES_PER_SECOND_MAX + 2, "told without another line");
  log(entry);
  const last = lines.at(-1);
  assert.match(
    dropped ?? "",
    /\[warning\]\[wasm\] wasm log noisy: 7 lines more than 1000 in a sec/,
  );
  assert.match(last ?? "", /\[info\]\[wasm\] wasm log noisy r v: tick\n$/);
});
