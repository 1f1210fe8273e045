import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { pluginServices } from "./plugin-services.ts";
import { trialServices } from "./trial-services.ts";

for (const [name, { rootProperty }] of [
  ["that runs", pluginServices(systemClock, silentLogger)],
  ["on trial", trialServices(systemClock)],
] as const) {
  test(`without an exchange a plug-in ${name} is told who the gateway is, and nothing else`, () => {
    const read = (...path: string[]): string | null => {
      const value = rootProperty?.(path) ?? null;
      return value === null ? null : Buffer.from(value).toString();
    };
    assert.equal(read("xds", "node", "id"), "gateway");
    assert.equal(read("xds", "node", "cluster"), "graylane");
    assert.equal(read("xds", "node", "metadata", "graylane", "role"), "gateway");
    assert.equal(read("xds", "cluster_name"), null);
    assert.equal(read("request", "path"), null);
  });
}
