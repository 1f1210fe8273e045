import assert from "node:assert/strict";
import { test } from "node:test";
import { kindByApiVersion, kindByName, kindByResource, KINDS } from "./registry.ts";

const words: readonly { word: string; kind: string | undefined }[] = [
  { word: "vs", kind: "VirtualService" },
  { word: "VirtualService", kind: "VirtualService" },
  { word: "virtualservices", kind: "VirtualService" },
  { word: "virtualservices.networking.istio.io", kind: "VirtualService" },
  { word: "virtualservices.v1.networking.istio.io", kind: "VirtualService" },
  { word: "svc", kind: "Service" },
  { word: "deployments.apps", kind: "Deployment" },
  { word: "ns", kind: "Namespace" },
  { word: "lane", kind: "Lane" },
  { word: "things", kind: undefined },
];

for (const { word, kind } of words) {
  test(`a user who writes ${word} means ${kind ?? "nothing known"}`, () => {
    assert.equal(kindByName(word)?.kind, kind);
  });
}

test("every kind is found by its names; of two groups' kinds the plain name is the first's", () => {
  const seen = new Set<string>();
  for (const info of KINDS) {
    for (const name of [info.plural, info.singular, ...info.shortNames]) {
      if (info.group !== "" && name === info.plural) {
        assert.equal(kindByName(`${name}.${info.group}`), info);
      }
      const first = KINDS.find(({ plural, singular, shortNames }) =>
        [plural, singular, ...shortNames].includes(name),
      );
      assert.equal(kindByName(name), first);
      const key = `${name}.${info.group}`;
      assert.ok(!seen.has(key) || name === info.singular, key);
      seen.add(key);
    }
    assert.equal(kindByResource(info.group, info.plural), info);
    assert.ok(info.versions.includes(info.storageVersion));
    for (const version of info.versions) {
      const apiVersion = info.group === "" ? version : `${info.group}/${version}`;
      assert.equal(kindByApiVersion(apiVersion, info.kind), info);
    }
  }
});

test("a version that is not served is no kind", () => {
  assert.equal(kindByApiVersion("apps/v1beta1", "Deployment"), undefined);
  assert.equal(kindByApiVersion("v1", "Deployment"), undefined);
});
