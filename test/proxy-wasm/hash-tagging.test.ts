//! The hash-tagging plug-in in our own host: what it tags, what it refuses, what it explains.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import type { HeaderPair } from "../../src/wasm/header-pairs.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { startPlugin, testServices } from "../support/plugin.ts";

const RULE = {
  header: "x-user-id",
  modulo: 100,
  tagHeader: "x-asm-prefer-tag",
  policies: [
    { range: 20, tagValue: "s2" },
    { range: 100, tagValue: "s1" },
  ],
};
const WALK_THROUGH = JSON.stringify({ rules: [RULE] });

async function ready(configuration: string): Promise<Plugin> {
  const services = testServices();
  const plugin = await startPlugin("hash-tagging", configuration, services);
  assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
  return plugin;
}

function run(plugin: Plugin, headers: readonly HeaderPair[], explaining = false): FakeStreamHost {
  const host = new FakeStreamHost([[":path", "/"], ...headers]);
  host.explaining = explaining;
  const stream = plugin.createStream(host);
  assert.ok(stream !== null);
  assert.equal(stream.onRequestHeaders(true), 0);
  stream.finish();
  return host;
}

const tagOf = (host: FakeStreamHost): string | undefined => host.request.get("x-asm-prefer-tag");

test("the users of the walk-through get the tags that its text shows", async () => {
  const plugin = await ready(WALK_THROUGH);
  const users = ["jason", "bob", "stacy", "jessie", "vance", "jack"];
  assert.deepEqual(
    users.map((user) => tagOf(run(plugin, [["x-user-id", user]]))),
    ["s1", "s1", "s1", "s2", "s1", "s2"],
  );
});

test("a tag that the client sent is replaced, never joined by a second one", async () => {
  const plugin = await ready(WALK_THROUGH);
  const sent: HeaderPair[] = [
    ["x-asm-prefer-tag", "s1"],
    ["x-user-id", "jack"],
    ["x-asm-prefer-tag", "s3"],
  ];
  const { pairs } = run(plugin, sent).request;
  assert.deepEqual(
    pairs.filter(([name]) => name === "x-asm-prefer-tag"),
    [["x-asm-prefer-tag", "s2"]],
  );
});

test("without the header, or when no policy matches, the tag header is not touched", async () => {
  const policies = [{ range: 20, tagValue: "s2" }];
  const plugin = await ready(JSON.stringify({ rules: [{ ...RULE, policies }] }));
  assert.equal(tagOf(run(plugin, [["x-asm-prefer-tag", "own"]])), "own");
  const notMatched: HeaderPair[] = [
    ["x-user-id", "bob"],
    ["x-asm-prefer-tag", "own"],
  ];
  const host = run(plugin, notMatched);
  assert.equal(tagOf(host), "own");
  assert.deepEqual(host.events, []);
});

test("setting the tag clears the route cache, so that the route may depend on it", async () => {
  const plugin = await ready(WALK_THROUGH);
  assert.deepEqual(run(plugin, [["x-user-id", "jack"]]).events, ["clear route cache"]);
});

test("range 0 takes nobody and a later policy goes on from it", async () => {
  const policies = [
    { range: 0, tagValue: "s2" },
    { range: 100, tagValue: "s1" },
  ];
  const plugin = await ready(JSON.stringify({ rules: [{ ...RULE, policies }] }));
  assert.equal(tagOf(run(plugin, [["x-user-id", "jack"]])), "s1");
});

test("rules run in order and the header's name is matched without regard to case", async () => {
  const rules = [
    { ...RULE, header: "X-User-Id", tagHeader: "X-First" },
    {
      header: "x-first",
      modulo: 1,
      tagHeader: "x-second",
      policies: [{ range: 1, tagValue: "z" }],
    },
  ];
  const host = run(await ready(JSON.stringify({ rules })), [["x-user-id", "jack"]]);
  assert.equal(host.request.get("x-first"), "s2");
  assert.equal(host.request.get("x-second"), "z");
});

test("an exchange that is explained gets the reasons, and only such a one", async () => {
  const plugin = await ready(WALK_THROUGH);
  assert.deepEqual(run(plugin, [["x-user-id", "jack"]]).explanations, []);
  const host = run(plugin, [["x-user-id", "jack"]], true);
  assert.equal(tagOf(host), "s2");
  assert.deepEqual(
    host.explanations.map((text) => JSON.parse(text) as unknown),
    [
      {
        plugin: "hash-tagging",
        rule: 0,
        header: "x-user-id",
        value: "jack",
        hash: "fnv1a-32",
        hashValue: 777243802,
        modulo: 100,
        bucket: 2,
        limit: 20,
        tagHeader: "x-asm-prefer-tag",
        tagValue: "s2",
      },
    ],
  );
});

test("the reasons say why no tag was set", async () => {
  const plugin = await ready(WALK_THROUGH);
  const [text = ""] = run(plugin, [], true).explanations;
  const report = JSON.parse(text) as Record<string, unknown>;
  assert.equal(report["tagValue"], null);
  assert.equal(report["reason"], "no such header");
});

test("a hundred thousand explained exchanges do not make the guest grow", async () => {
  const plugin = await ready(WALK_THROUGH);
  for (let index = 0; index < 100_000; index++) {
    run(plugin, [["x-user-id", `user-${index}`]], true);
  }
  assert.equal(plugin.lastTrap, null);
  assert.ok(plugin.memoryBytes <= 256 * 1024, `${plugin.memoryBytes} bytes`);
});

const bad = (change: object): string => JSON.stringify({ rules: [{ ...RULE, ...change }] });
const REFUSED = [
  { configuration: "", errors: ["not JSON: expected a value at character 0"] },
  { configuration: "[]", errors: ["must be an object with the field rules"] },
  { configuration: "{}", errors: ["rules is missing"] },
  { configuration: '{"rules":{}}', errors: ["rules must be a list"] },
  { configuration: '{"rules":[1]}', errors: ["rules[0] must be an object"] },
  {
    configuration: '{"rules":[{}]}',
    errors: [
      "rules[0].header is missing",
      "rules[0].modulo is missing",
      "rules[0].tagHeader is missing",
      "rules[0].policies is missing",
    ],
  },
  { configuration: bad({ header: 1 }), errors: ["rules[0].header must be a string"] },
  { configuration: bad({ header: "a b" }), errors: ["rules[0].header is not a header name"] },
  { configuration: bad({ modulo: 0 }), errors: ["rules[0].modulo must be at least 1"] },
  { configuration: bad({ modulo: -1 }), errors: ["rules[0].modulo may not be negative"] },
  { configuration: bad({ modulo: 1.5 }), errors: ["rules[0].modulo must be a whole number"] },
  {
    configuration: bad({ policies: [{ range: 101, tagValue: "a" }] }),
    errors: ["rules[0].policies[0].range is 101 but may be at most modulo, 100"],
  },
  {
    configuration: bad({
      policies: [
        { range: 1, tagValue: "a" },
        { range: -1, tagValue: 2 },
      ],
    }),
    errors: [
      "rules[0].policies[1].range may not be negative",
      "rules[0].policies[1].tagValue must be a string",
    ],
  },
  {
    configuration: bad({ policies: [{ range: 1, tagValue: "a\r\nb: c" }] }),
    errors: ["rules[0].policies[0].tagValue has a control character"],
  },
];

for (const { configuration, errors } of REFUSED) {
  test(`a wrong configuration is refused with all its faults: ${errors.join("; ")}`, async () => {
    const services = testServices();
    const fault = await startPlugin("hash-tagging", configuration, services);
    assert.ok(fault instanceof LoadFault);
    assert.equal(fault.kind, "configure_refused");
    assert.equal(services.lines.length, errors.length, services.lines.join("\n"));
    errors.forEach((error, index) => {
      const line = services.lines[index] ?? "";
      assert.ok(line.startsWith("error: hash-tagging: ") && line.includes(error), line);
    });
  });
}
