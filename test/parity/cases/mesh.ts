//! Routes of VirtualServices for calls between pods.

import type { ParityCase, ParityGroup, Want } from "../case.ts";
import { LANES, TO_A, laneGroup, object, subsetsOf, to } from "../topology.ts";
import type { Fields } from "./walk.ts";
import { BASE, BLUE, GRAY, context, go } from "./walk.ts";

/** Without `gateways`. */
function inMesh(host: string, http: readonly object[]): object {
  return { hosts: [host], http };
}

const at = (path: string, more: object, match: object = {}): object => ({
  match: [{ uri: { prefix: path }, ...match }],
  ...more,
});

const TO_B = inMesh("b", [
  at("/sub", { route: [to("b", "base")] }),
  at("/other", { route: [to("c", "base")] }),
  at("/lane", { route: [to("b", "gray")] }),
  at("/asks", { route: [to("c", "base")] }, { headers: { "x-lane": { exact: "gray" } } }),
  at("/caller", { route: [to("c", "base")] }, { sourceLabels: { track: "a-base" } }),
  at("/port", { route: [to("c", "base")] }, { port: 8_000 }),
  at("/port", { route: [to("b")] }),
  at("/caller", { route: [to("b")] }),
  at("/asks", { route: [to("b")] }),
  at("/direct", { directResponse: { status: 418, body: { string: "tea" } } }),
  at("/moved", { redirect: { uri: "/new" } }),
  at("/fault", {
    fault: { abort: { httpStatus: 418, percentage: { value: 100 } } },
    route: [to("b")],
  }),
  at("/slow", { timeout: "0.3s", route: [to("b")] }),
  { match: [{ uri: { exact: "/" } }], route: [to("b")] },
]);

/** A call of `a` to `b` at this path, then one to `c`. */
function walk(name: string, path: string, want: Want, headers: Fields = []): ParityCase {
  return { name, ask: { headers: [...headers, ["x-hops", `b:8000${path},c:8000`]] }, want };
}

const OBJECTS = [
  ...[TO_A, laneGroup(), ...LANES, subsetsOf("b"), subsetsOf("c")],
  object("networking.istio.io/v1/VirtualService", "b", TO_B),
];

export const MESH_GROUPS: readonly ParityGroup[] = [
  {
    name: "routes for calls between pods",
    objects: OBJECTS,
    cases: [
      walk("a route without a subset leaves the call to the lanes: none", "/", BASE),
      walk("a route without a subset leaves the call to the lanes: gray", "/", GRAY, go("gray")),
      walk("a route without a subset leaves the call to the lanes: blue", "/", BLUE, go("blue")),
      walk("a subset is for this hop", "/sub", BASE),
      walk(
        "a subset is for this hop, and the lane goes on",
        "/sub",
        { hops: "a-blue b-base c-blue", lanes: "blue blue blue" },
        go("blue"),
      ),
      walk("another service serves the hop", "/other", { hops: "a-base c-base c-base" }),
      walk("a route that names a lane leads into it", "/lane", {
        hops: "a-base b-gray c-base",
        lanes: "- gray gray",
      }),
      walk("a route that asks for the lane: none", "/asks", BASE),
      walk("a route that asks for the lane", "/asks", { hops: "a-gray c-base c-base" }, go("gray")),
      walk("the caller's labels", "/caller", { hops: "a-base c-base c-base" }),
      walk("another caller's labels", "/caller", GRAY, go("gray")),
      walk("the call's port", "/port", { hops: "a-base c-base c-base" }),
      walk("a direct response", "/direct", { hops: "a-base 418" }),
      walk("a redirect", "/moved", { hops: "a-base 301" }),
      walk("a fault", "/fault", { hops: "a-base 418" }),
      walk("a call that no route takes", "/none", { hops: "a-base 404" }),
      walk("what the client says of lanes is not believed", "/asks", BASE, context("gray")),
    ],
  },
];
