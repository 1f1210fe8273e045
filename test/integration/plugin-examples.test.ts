//! The examples whose plug-ins are shipped compiled: what their READMEs promise is what happens.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { Graylane } from "../support/graylane.ts";
import type { Question } from "../support/graylane.ts";

function askHost(
  port: number,
  host: string,
  path: string,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, headers: { host } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString() });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

suite("examples/mse-params-random", () => {
  const folder = "examples/mse-params-random";
  const plugin = readFileSync(join(folder, "plugin.yaml"), "utf8");
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order", folder] });
  });
  after(() => graylane.stop());

  async function isGray(...headers: NonNullable<Question["headers"]>): Promise<boolean> {
    const { status, body } = await graylane.ask({ path: "/a", headers });
    assert.equal(status, 200, body);
    assert.match(body, /^A(gray)?\[/);
    return body.startsWith("Agray[");
  }

  async function configure(settings: string): Promise<void> {
    await graylane.apply(plugin.replace(/pluginConfig:[^]*$/, `pluginConfig: ${settings}\n`));
    await graylane.published();
  }

  test("with the ratio 15 user 1 is in the canary, always, and user 11 is not", async () => {
    for (let round = 0; round < 5; round++) {
      assert.equal(await isGray(["userId", "1"]), true);
      assert.equal(await isGray(["userId", "11"]), false);
    }
    assert.equal(await isGray(), false, "without the header");
  });

  test("with the article's ratio 10 both are out", async () => {
    await configure(
      "{paramsRandomEnable: true, paramsRandomHeaderKey: userId, paramsPercentageRatio: 10}",
    );
    assert.equal(await isGray(["userId", "1"]), false);
    assert.equal(await isGray(["userId", "11"]), false);
  });

  test("the switch turns it off, whatever the ratio", async () => {
    await configure(
      "{paramsRandomEnable: false, paramsRandomHeaderKey: userId, paramsPercentageRatio: 100}",
    );
    assert.equal(await isGray(["userId", "1"]), false);
  });

  test("either of two headers leads into the canary", async () => {
    await configure("{anyOf: [{header: version, value: '2.0'}, {header: tag, value: beta}]}");
    assert.equal(await isGray(["version", "2.0"]), true);
    assert.equal(await isGray(["tag", "beta"]), true);
    assert.equal(await isGray(["version", "1.0"], ["tag", "other"]), false);
  });

  test("1000 buckets with the ratio 0 take one user in a thousand", async () => {
    await configure(
      "{paramsRandomEnable: true, paramsRandomHeaderKey: userId, paramsPercentageRatio: 0, " +
        "paramsModulo: 1000}",
    );
    // SHA-256 of "1563" is 0 modulo 1000.
    assert.equal(await isGray(["userId", "1563"]), true);
    assert.equal(await isGray(["userId", "1"]), false);
  });
});

suite("examples/higress-mock-response", () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({
      files: ["examples/higress-mock-response"],
      waitsForPods: false,
    });
    await graylane.published();
  });
  after(() => graylane.stop());

  const cases = [
    { path: "/foo", host: "www.abc.com", says: "hello foo" },
    { path: "/bar", host: "www.abc.com", says: "hello bar" },
    { path: "/", host: "www.example.com", says: "hello world" },
    { path: "/", host: "www.abc.com", says: "hello hierarchy" },
    { path: "/foo", host: "www.example.com", says: "hello foo" },
  ];
  for (const { path, host, says } of cases) {
    test(`${host}${path} answers ${says}`, async () => {
      const answer = await askHost(graylane.port, host, path);
      assert.deepEqual(answer, { status: 200, body: says });
    });
  }

  test("get names the kind by its group, and shows that it is ready", async () => {
    const words = ["wasmplugins.extensions.higress.io", "-n", "higress-system"];
    const { stdout } = await graylane.cli("get", ...words);
    assert.match(stdout, /mock-response .*True +Accepted/);
  });
});
