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
