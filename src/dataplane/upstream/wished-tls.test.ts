import assert from "node:assert/strict";
import { test } from "node:test";
import { objectName } from "../filter/filter-state.ts";
import { trafficContext } from "../testing/harness.ts";
import { cluster } from "../testing/snapshot-maker.ts";
import { wishedTls } from "./wished-tls.ts";

const TLS = {
  ...{ serverName: "a.test", acceptedNames: ["a.test"], isVerified: true },
  ...{ authorities: "", certificate: "", privateKey: "" },
};

function storing(serverName: string | null, names: string | null = null) {
  const values = new Map<string, string | null>([
    [objectName("envoy.network.upstream_server_name"), serverName],
    [objectName("envoy.network.upstream_subject_alt_names"), names],
  ]);
  return (name: string): Uint8Array | undefined => {
    const value = values.get(name) ?? null;
    return value === null ? undefined : Buffer.from(value);
  };
}

const CASES = [
  { stored: storing(null), want: null },
  { stored: storing(""), want: null },
  { stored: storing("b.test"), want: { ...TLS, serverName: "b.test" } },
  { stored: storing(null, "b.test,c"), want: { ...TLS, acceptedNames: ["b.test", "c"] } },
  { stored: storing(null, ""), want: { ...TLS, acceptedNames: [""] } },
];

test("what is not wished stays as it is configured", () => {
  for (const { stored, want } of CASES) assert.deepEqual(wishedTls(TLS, stored), want);
});

test("nothing is sent where a wish cannot be followed", () => {
  for (const name of ["10.0.0.1", "::1", "a b", "a\0b", "a..b", "a".repeat(64), "-.".repeat(130)]) {
    assert.match(wishedTls(TLS, storing(name))?.fault ?? "", /that is no host name$/, name);
  }
  const names = (count: number): string => Array<string>(count).fill("a").join(",");
  assert.equal(wishedTls(TLS, storing(null, names(64)))?.fault, undefined);
  assert.match(wishedTls(TLS, storing(null, names(65)))?.fault ?? "", /more than 64 names$/);
});

test("256 wishes are kept at once, the newest of them", () => {
  const { pools } = trafficContext();
  const to = { ...cluster("a"), policy: { tls: TLS } };
  const poolsOf = (name: string): unknown =>
    pools.poolsFor(to, null, { client: null, stored: storing(name) });
  const first = poolsOf("host-0");
  assert.notEqual(first, pools.poolsFor(to, null, { client: null }));
  for (let index = 1; index < 256; index++) poolsOf(`host-${index}`);
  assert.equal(poolsOf("host-0"), first);
  poolsOf("host-256");
  assert.equal((first as { readonly isRetired: boolean }).isRetired, true);
  assert.notEqual(poolsOf("host-0"), first);
});
