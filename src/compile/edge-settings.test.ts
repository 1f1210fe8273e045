import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gateway } from "../resources/kinds/gateway.ts";
import { compileEdge } from "./edge-settings.ts";
import { MessageList } from "./messages.ts";

function gateway(name: string, annotations: Readonly<Record<string, string>>): Gateway {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name, namespace: "default", annotations },
    spec: { selector: {}, servers: [] },
  };
}

test("a gateway without annotations has no settings of its own", () => {
  assert.equal(compileEdge([gateway("a", { "other.io/x": "1" })], new MessageList()), null);
});

test("annotations set how requests are taken in", () => {
  const messages = new MessageList();
  const edge = compileEdge(
    [
      gateway("a", { "graylane.io/num-trusted-proxies": "2" }),
      gateway("b", {
        "graylane.io/num-trusted-proxies": "3",
        "graylane.io/escaped-slashes": "REJECT_REQUEST",
        "graylane.io/path-normalization": "MERGE_SLASHES",
        "graylane.io/via": "edge",
        "graylane.io/absolute-form": "REFUSE",
        "graylane.io/forwarded-host-port": "true",
        "graylane.io/proxy-protocol": "ALLOW",
      }),
    ],
    messages,
  );
  assert.deepEqual(edge, {
    trustedProxies: 2,
    path: { normalize: true, mergeSlashes: true, escapedSlashes: "reject" },
    via: "edge",
    refuseAbsoluteForm: true,
    addForwardedHostPort: true,
    proxyProtocol: "allowed",
  });
  assert.deepEqual(messages.sorted(), []);
});

test("every value that is not understood is named, and the default is used", () => {
  const messages = new MessageList();
  const names = [
    ...["num-trusted-proxies", "path-normalization", "escaped-slashes", "via", "absolute-form"],
    ...["forwarded-host-port", "proxy-protocol"],
  ];
  const wrong = Object.fromEntries(names.map((name) => [`graylane.io/${name}`, "a b"]));
  assert.equal(compileEdge([gateway("a", wrong)], messages), null);
  assert.deepEqual(
    messages.sorted().map(({ code, path }) => `${code} ${path}`),
    names.sort().map((name) => `GL0240 metadata.annotations["graylane.io/${name}"]`),
  );
});
