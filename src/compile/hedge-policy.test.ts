import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { compile } from "./compile.ts";

function object(kind: string, name: string, spec: unknown, annotation?: string): Resource {
  const apiVersion = kind === "Service" ? "v1" : "networking.istio.io/v1";
  const annotations = annotation === undefined ? {} : { "graylane.io/hedge-policy": annotation };
  return { apiVersion, kind, metadata: { name, namespace: "default", annotations }, spec };
}

const ON = '{"hedge_on_per_try_timeout": true}';
const TIMED = { attempts: 2, perTryTimeout: "1s" };
const CASES = [
  ["hedges the tries of a route that has a time for them", ON, TIMED, [], true],
  ["is off when it says so", '{"hedge_on_per_try_timeout": false}', TIMED, [], undefined],
  ["is off without it", undefined, TIMED, [], undefined],
  ["needs a time of a try", ON, { attempts: 2 }, ["warning GL0284"], undefined],
  ["needs another try", ON, { ...TIMED, attempts: 0 }, ["warning GL0284"], true],
  ["is JSON", "yes", TIMED, ["error GL0283"], undefined],
  ["has no other field", '{"initial_requests": 2}', TIMED, ["error GL0283"], undefined],
  ["is true or false", '{"hedge_on_per_try_timeout": 1}', TIMED, ["error GL0283"], undefined],
] as const;

for (const [name, annotation, retries, want, isHedged] of CASES) {
  test(`a hedge policy ${name}`, () => {
    const server = { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] };
    const route = [{ destination: { host: "cart" } }];
    const virtual = { hosts: ["*"], gateways: ["edge"], http: [{ route, retries }] };
    const { snapshot, messages } = compile({
      resources: [
        object("Service", "cart", { selector: {}, ports: [{ port: 80, protocol: "TCP" }] }),
        object("Gateway", "edge", { selector: { istio: "edge" }, servers: [server] }),
        object("VirtualService", "shop", virtual, annotation),
      ],
      modules: new Map(),
    });
    const said = messages.filter(({ object: about }) => about?.kind === "VirtualService");
    assert.deepEqual(
      said.map(({ severity, code }) => `${severity} ${code}`),
      want,
    );
    const [compiled] = snapshot.routeTables["istio=edge:80"]?.virtualHosts[0]?.routes ?? [];
    assert.equal(compiled?.policy?.retry?.isHedged, isHedged);
  });
}
