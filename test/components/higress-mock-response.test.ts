//! Higress' demonstration, whole: its plug-in, written with its Go SDK and unmodified, is pulled
//! from a real registry, answers by Ingress and by domain, and a new tag under load costs nothing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { after, before, suite, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { tarGzipOf, TYPES } from "../../src/controlplane/plugins/fake-registry.ts";
import { endEach } from "../support/ending.ts";
import { Graylane } from "../support/graylane.ts";
import { Registry, registryMissing } from "../support/registry.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const FOLDER = "examples/higress-mock-response";
const RATE_PER_SECOND = 100;

const first = sdkPlugin("higress-mock-response");
const second = sdkPlugin("higress-mock-response-v2");
const missing = [first, second].flatMap((built) => (built.kind === "missing" ? built.reason : []));
const skip = missing[0] ?? registryMissing() ?? false;

interface Answered {
  readonly status: number | undefined;
  readonly version: string;
  readonly body: string;
}

suite("Higress' own plug-in from a real registry", { skip }, () => {
  let registry: Registry;
  let graylane: Graylane;

  before(async () => {
    registry = await Registry.start();
    for (const [tag, built] of [
      ["v1", first],
      ["v2", second],
    ] as const) {
      assert.ok(built.kind === "built");
      const bytes = tarGzipOf({ "plugin.wasm": readFileSync(built.path) });
      const layer = { type: TYPES.dockerLayer, bytes };
      await registry.push(`higress/mock-response:${tag}`, layer, TYPES.dockerManifest);
    }
    graylane = await Graylane.start({ files: [`${FOLDER}/ingress.yaml`], waitsForPods: false });
    await apply("v1");
    await graylane.until("v1 answers", async () => (await ask("/foo")).version === "v1");
  });

  after(() =>
    endEach(
      () => graylane.stop(),
      () => registry.stop(),
    ),
  );

  async function apply(tag: string): Promise<void> {
    const yaml = readFileSync(`${FOLDER}/wasmplugin.yaml`, "utf8");
    const url = `url: oci://${registry.host}/higress/mock-response:${tag}`;
    await graylane.apply(yaml.replace(/url: .*/, url));
    await graylane.published();
  }

  function ask(path: string, host = "www.abc.com"): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const { port } = graylane;
      const sent = request({ host: "127.0.0.1", port, path, headers: { host } }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const version = String(response.headers["x-version"] ?? "");
          const body = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode, version, body });
        });
      });
      sent.on("error", reject);
      sent.end();
    });
  }

  const cases = [
    { path: "/foo", host: "www.abc.com", body: "hello foo" },
    { path: "/bar", host: "www.abc.com", body: "hello bar" },
    { path: "/", host: "www.example.com", body: "hello world" },
    { path: "/", host: "www.abc.com", body: "hello hierarchy" },
  ];
  for (const { path, host, body } of cases) {
    test(`${host}${path} answers ${body}`, async () => {
      assert.deepEqual(await ask(path, host), { status: 200, version: "v1", body });
    });
  }

  test("a new tag changes the answer under load, and no request fails", async () => {
    const seen = new Set<string>();
    const client = new OpenLoopClient({
      host: "127.0.0.1",
      port: graylane.port,
      ratePerSecond: RATE_PER_SECOND,
      timeoutMs: 30_000,
      request: () => ({
        bytes: "GET /foo HTTP/1.1\r\nhost: www.abc.com\r\n\r\n",
        check({ status, head, body }) {
          const version = /\r\nx-version: (v\d)/.exec(head)?.[1];
          if (status !== 200 || body.toString() !== "hello foo") return `${status}: ${head}`;
          if (version !== undefined) seen.add(version);
          return null;
        },
      }),
    });
    client.start();
    await apply("v2");
    await graylane.until("v2 answers", async () => (await ask("/foo")).version === "v2");
    const { failures, sent } = await client.stop();
    assert.deepEqual(failures, []);
    assert.ok(sent > 0);
    assert.deepEqual([...seen].sort(), ["v1", "v2"]);
  });
});
