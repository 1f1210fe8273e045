import assert from "node:assert/strict";
import { test } from "node:test";
import { PodState } from "./pod-state.ts";

test("a call without an id is for the pod's one request; with none, or several, for nobody", () => {
  const pod = new PodState();
  const first = { requestId: "r1", traceId: "" };
  // The same id twice is two requests: a client may repeat it.
  const second = { requestId: "r1", traceId: "" };
  assert.equal(pod.onlyIds, null);
  pod.inFlightIds.add(first);
  assert.equal(pod.onlyIds, first);
  pod.inFlightIds.add(second);
  assert.equal(pod.onlyIds, null);
  pod.inFlightIds.delete(first);
  assert.equal(pod.onlyIds, second);
});
