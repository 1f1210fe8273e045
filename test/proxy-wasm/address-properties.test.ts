//! What plug-ins read of the two ends of a connection, and of time: no two runs have the same
//! values, so their form is compared, in our host and in Envoy.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { send, startEcho, startEnvoyHost, startOurHost } from "../support/conformance.ts";
import type { Host, ProbeCase, ProbePlugin, UpstreamPorts } from "../support/conformance.ts";
import { findEnvoy } from "../support/envoy.ts";
import { builtProbe } from "../support/probe.ts";

const LINES_MS_MAX = 30_000;
after(endAll);

/** Texts are printed as texts; other bytes in hexadecimal: 8 of them, little-endian. */
const SMALL = "0x(?!0{16})[0-9a-f]{8}0{8}";
const TIME = "0x[0-9a-f]{14}1[0-9a-f]";
const FORMS: Readonly<Record<string, string>> = {
  "source%00address": String.raw`"127\.0\.0\.1:\d{4,5}"`,
  "source%00port": SMALL,
  "destination%00address": String.raw`"127\.0\.0\.1:PORT"`,
  "destination%00port": SMALL,
  "connection%00id": SMALL,
  connection_id: SMALL,
  "request%00time": TIME,
  "request%00scheme": '"http"',
};
const PROBE: ProbeCase = {
  name: "addresses",
  script: Object.keys(FORMS).map((path) => `rh get_property s:${path} v`),
};

const binary = await findEnvoy();
type Start = (plugin: ProbePlugin, ports: UpstreamPorts) => Promise<Host>;
const hosts: readonly (readonly [name: string, start: Start, skip: string | false])[] = [
  ["our host", startOurHost, false],
  [
    "Envoy",
    (plugin, ports) => {
      assert.ok(binary.kind !== "missing");
      return startEnvoyHost(plugin, ports, binary.path);
    },
    binary.kind === "missing" ? binary.reason : false,
  ],
];

for (const [name, start, skip] of hosts) {
  test(`addresses, ids and times have Envoy's form in ${name}`, { skip }, async (context) => {
    const echo = await startEcho();
    context.after(() => {
      echo.stop();
    });
    const dead = await freePort();
    const plugin = { path: await builtProbe(), configuration: "tick nothing" };
    const host = await start(plugin, { echo: echo.port, grpc: dead, dead });
    context.after(() => host.stop());
    await send(host.port, PROBE);
    const endMs = systemClock.monotonicMs() + LINES_MS_MAX;
    const line = (path: string): string =>
      host.lines().find((text) => text.startsWith(`addresses rh get_property s:${path} v = `)) ??
      "";
    while (line("request%00scheme") === "" && systemClock.monotonicMs() < endMs) {
      await new Promise(setImmediate);
    }
    for (const [path, form] of Object.entries(FORMS)) {
      const pattern = form.replace("PORT", String(host.port));
      const want = new RegExp(`^addresses rh get_property s:${path} v = 0 ${pattern}$`);
      assert.match(line(path), want);
    }
  });
}
