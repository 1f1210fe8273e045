//! The examples whose plug-ins are shipped compiled: what their READMEs promise is what happens.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { basename, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { COMMAND, Graylane } from "../support/graylane.ts";
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
    graylane = await Graylane.start({ files: ["examples/mse-order", `${folder}/plugin.yaml`] });
  });
  after(() => graylane.stop());

  async function leadsToGray(question: Question): Promise<boolean> {
    const { status, body } = await graylane.ask(question);
    assert.equal(status, 200, body);
    assert.match(body, /^A(gray)?\[/);
    return body.startsWith("Agray[");
  }

  function isGray(...headers: NonNullable<Question["headers"]>): Promise<boolean> {
    return leadsToGray({ path: "/a", headers });
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

  test("conditions on body, user group, location and several attributes", async () => {
    const { exitCode, stderr } = await graylane.cli("delete", "-f", `${folder}/plugin.yaml`);
    assert.equal(exitCode, 0, stderr);
    await graylane.applyFiles(`${folder}/conditions.yaml`);
    await graylane.published();
    const post = (order: object, path = "/a", headers: Question["headers"] = []): Question => ({
      path,
      method: "POST",
      headers: [["content-type", "application/json"], ...headers],
      body: JSON.stringify({ order }),
    });
    const version = [["x-app-version", "3.1"]] as const;
    const cases: readonly (readonly [Question, boolean])[] = [
      [post({ user: { level: "gold" } }), true],
      [post({ user: { level: "silver" } }), false],
      [{ path: "/a", headers: [["userGroup", "testers"]] }, true],
      [{ path: "/a", headers: [["userGroup", "guests"]] }, false],
      [{ path: "/a", headers: [["x-forwarded-for", "203.0.113.7"]] }, true],
      [{ path: "/a", headers: [["x-forwarded-for", "198.51.100.7"]] }, false],
      [post({ express: true }, "/a?channel=app-store", version), true],
      [post({ express: false }, "/a?channel=app-store", version), false],
      [post({ express: true }, "/a?channel=web", version), false],
      [{ path: "/a", headers: [["x-mse-tag", "gray"]] }, false],
    ];
    for (const [question, isExpected] of cases) {
      assert.equal(await leadsToGray(question), isExpected, JSON.stringify(question));
    }
  });
});

test("the plug-in of the SDK's README is compiled as it stands, and does what it says", () => {
  const page = readFileSync("sdk/assemblyscript/README.md", "utf8");
  const source = /```ts\n([^]*?)```/.exec(page)?.[1] ?? "";
  assert.ok(readFileSync("docs/plug-ins.md", "utf8").includes(source), "both pages show the same");
  // Its imports are relative to a folder two levels below the root.
  const folder = mkdtempSync(join("dist", "plugin-of-the-readme-"));
  try {
    mkdirSync(join(folder, "assembly"));
    writeFileSync(join(folder, "assembly", "index.ts"), source);
    writeFileSync(
      join(folder, "hello.cases.yaml"),
      `plugin: ${basename(folder)}.wasm
cases:
  - {name: it says hello, request: {path: /}, expect: {request: {headers: {x-hello: world}}}}
`,
    );
    for (const words of [["scripts/build-plugins.mjs"], [COMMAND, "plugin", "test"]]) {
      const { status, stderr, stdout } = spawnSync(process.execPath, [...words, folder]);
      assert.equal(status, 0, `${String(stdout)}${String(stderr)}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

for (const plugin of ["canary-conditions", "hash-tagging"]) {
  test(`the cases of plugins/${plugin} are met`, () => {
    const words = [COMMAND, "plugin", "test", `plugins/${plugin}`];
    const { status, stdout } = spawnSync(process.execPath, words, { encoding: "utf8" });
    assert.equal(status, 0, stdout);
  });
}

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

  /** Host, path, and the body; null: the request passes the plug-in, to a Service without pods. */
  type Asked = readonly [host: string, path: string, says: string | null];
  const fields: readonly (readonly [name: string, spec: object, asked: readonly Asked[]])[] = [
    [
      "a rule for a service takes what goes to it, at its port or at any",
      {
        matchRules: [
          { service: ["foo-service.default.svc.cluster.local:9"], config: { body: "no" } },
          { service: ["foo-service.default.svc.cluster.local:5678"], config: { body: "service" } },
        ],
      },
      [["a.com", "/foo", "service"]],
    ],
    [
      "rules are asked in their order, and any list of a rule suffices",
      {
        matchRules: [
          { domain: ["*.b.com"], ingress: ["default/bar"], config: { body: "first" } },
          { domain: ["x.b.com", "c.com"], routeType: "HTTP", config: { body: "second" } },
        ],
      },
      [
        ["x.b.com", "/foo", "first"],
        ["c.com", "/bar", "first"],
        ["c.com", "/foo", "second"],
        ["a.com", "/foo", null],
      ],
    ],
    [
      "a rule that is switched off takes nothing",
      {
        defaultConfig: { body: "default" },
        matchRules: [{ ingress: ["default/foo"], config: { body: "off" }, configDisable: true }],
      },
      [["a.com", "/foo", "default"]],
    ],
    [
      "a default that is switched off leaves the rules",
      {
        defaultConfig: { body: "default" },
        defaultConfigDisable: true,
        matchRules: [{ ingress: ["default/foo"], config: { body: "rule" } }],
      },
      [
        ["a.com", "/foo", "rule"],
        ["a.com", "/bar", null],
      ],
    ],
    [
      "with neither a default nor a rule it does not run",
      { defaultConfig: { body: "default" }, defaultConfigDisable: true },
      [["a.com", "/foo", null]],
    ],
    [
      "pluginConfig wins over all of them",
      {
        pluginConfig: { body: "plain" },
        defaultConfig: { body: "default" },
        matchRules: [{ ingress: ["default/foo"], config: { body: "rule" } }],
      },
      [["a.com", "/foo", "plain"]],
    ],
  ];
  for (const [name, spec, asked] of fields) {
    test(name, async () => {
      await graylane.apply(
        JSON.stringify({
          ...{ apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin" },
          metadata: { name: "mock-response", namespace: "higress-system" },
          spec: { url: "oci://graylane.local/mock-response:v1", ...spec },
        }),
      );
      await graylane.published();
      for (const [host, path, says] of asked) {
        const { status, body } = await askHost(graylane.port, host, path);
        if (says === null) assert.equal(status, 503, body);
        else assert.deepEqual([status, body], [200, says]);
      }
    });
  }

  test("get names the kind by its group, and shows that it is ready", async () => {
    const words = ["wasmplugins.extensions.higress.io", "-n", "higress-system"];
    const { stdout } = await graylane.cli("get", ...words);
    assert.match(stdout, /mock-response .*True +Accepted/);
  });
});
