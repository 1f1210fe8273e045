//! "Why was this user in gray?", asked of the gateways that decided it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Graylane } from "../support/graylane.ts";

let graylane: Graylane;

before(async () => {
  graylane = await Graylane.start({ files: ["examples/mse-order"] });
});

after(async () => {
  await graylane.stop();
});

test("a request that was decided is found by a header, and explained", async () => {
  const headers = [
    ["canary", "gray"],
    ["x-user-id", "4711"],
  ] as const;
  for (const path of ["/a", "/a?x=2"]) await graylane.ask({ path, headers });
  await graylane.ask({ path: "/a" });

  const words = ["explain", "--recent", "--where"];
  const found = await graylane.cli(...words, "header.x-user-id=4711");
  assert.equal(found.exitCode, 0, found.stderr);
  assert.match(found.stdout, /GET \S+\/a\?x=2 +gray +rule +gray +200 /);
  assert.match(found.stdout, /\n3 of 3 requests are kept by 2 gateway workers\.\n/);
  assert.match(found.stdout, /The newest of them:\n(.|\n)*\(reason rule: .*canary == "gray"/);

  const none = await graylane.cli(...words, "header.x-user-id=1");
  assert.deepEqual([none.exitCode, none.stdout.slice(0, 10)], [1, "None found"]);

  const closed = "examples/mse-order/steps/close-lane.yaml";
  const diff = await graylane.cli("lane", "diff", "-f", closed, "--recent");
  assert.match(diff.stdout, /gray +baseline +2 +GET \/a/, diff.stderr);
});

test("all hops of one request are found by its id, though the services forward none", async () => {
  const trace = await graylane.ask({
    path: "/a",
    headers: [
      ["canary", "gray"],
      ["x-graylane-trace", "1"],
      ["x-request-id", "followed-1"],
    ],
  });
  assert.match(String(trace.headers["x-graylane-trace"]), /; request=followed-1$/);
  const shown = await graylane.cli("explain", "--request-id", "followed-1");
  assert.equal(shown.exitCode, 0, shown.stderr);
  const [, table = ""] = /The hops of request followed-1:\n(.*?)\n\n/s.exec(shown.stdout) ?? [];
  const rows = table
    .split("\n")
    .filter((line) => line.startsWith("20"))
    .map((line) => line.split(/ {2,}/).slice(1))
    .map(([from, to, ...rest]) => [podless(from), podless(to), ...rest].join(" "));
  assert.deepEqual(rows, [
    "gateway default/sc-a gray gray lane 200",
    "- default/spring-cloud-a-gray gray - arrived 200",
    "default/spring-cloud-a-gray* default/sc-b gray baseline fallback:no-copy 200",
    "- default/spring-cloud-b gray - arrived 200",
    "default/spring-cloud-b* default/sc-c gray gray lane 200",
    "- default/spring-cloud-c-gray gray - arrived 200",
  ]);
});

/** Without what makes one pod of a Deployment another than the next. */
function podless(name = ""): string {
  return name.replace(/-[0-9a-f]+-[0-9a-z]+(\*?)$/, "$1");
}
