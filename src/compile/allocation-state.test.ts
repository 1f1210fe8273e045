import assert from "node:assert/strict";
import { test } from "node:test";
import type { CohortKey } from "../snapshot/cohort.ts";
import { readAllocation, storeAllocation } from "./allocation-state.ts";

const KEYS: readonly CohortKey[] = [
  { kind: "header", name: "x-user" },
  { kind: "cookie", name: "uid" },
  { kind: "claim", name: "sub" },
  { kind: "clientIp" },
  { kind: "issuedCookie", name: "graylane-id", maxAgeSeconds: 60 },
];

for (const key of KEYS) {
  test(`what a status keeps of shares by ${key.kind} is read again`, () => {
    const deal = { key, hash: "murmur3", salt: "s", modulo: 100 } as const;
    const tables = new Map([["*", [{ lane: "gray", intervals: [[0, 500_000]] as const }]]]);
    const allocation = storeAllocation({ deal, tables });
    const stored: unknown = JSON.parse(JSON.stringify({ allocation }));
    assert.deepEqual(readAllocation(stored), { deal, tables });
  });
}
