import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestProfile } from "./guest-profile.ts";

test("a callback's own time is without its host calls, and a trap is counted too", () => {
  let nowMs = 0;
  const profile = new GuestProfile(() => nowMs);
  const read = profile.hostFunction("proxy_log", () => {
    nowMs += 5;
    return 7;
  });
  const callback = profile.callback("proxy_on_tick", () => {
    nowMs += 2;
    return read();
  });
  const trapping = profile.callback("proxy_on_log", () => {
    nowMs += 1;
    throw new Error("unreachable");
  });
  assert.equal(callback(), 7);
  callback();
  assert.throws(() => trapping(), /unreachable/);
  read();
  assert.deepEqual(profile.callbacks(), [
    { name: "proxy_on_tick", calls: 2, totalMs: 14, ownMs: 4, medianMs: 7, slowestMs: 7 },
    { name: "proxy_on_log", calls: 1, totalMs: 1, ownMs: 1, medianMs: 1, slowestMs: 1 },
  ]);
  assert.deepEqual(profile.hostFunctions(), [
    { name: "proxy_log", calls: 3, totalMs: 15, ownMs: 15, medianMs: 5, slowestMs: 5 },
  ]);
  profile.reset();
  assert.deepEqual(profile.callbacks(), []);
});

test("what reading the clock costs is taken off", () => {
  let nowMs = 0;
  const profile = new GuestProfile(() => (nowMs += 1));
  const read = profile.hostFunction("proxy_log", () => {
    nowMs += 5;
  });
  profile.callback("proxy_on_tick", () => {
    nowMs += 10;
    read();
  })();
  const [callback] = profile.callbacks();
  assert.deepEqual([callback?.totalMs, callback?.ownMs, callback?.medianMs], [15, 10, 15]);
});
