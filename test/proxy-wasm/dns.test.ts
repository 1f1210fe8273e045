//! `envoy_resolve_dns` and its callback: what is told, and what is refused. What Envoy tells is
//! compared in conformance.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CALLS_PER_EXCHANGE_MAX } from "../../src/wasm/calls-under-way.ts";
import { encodeRecords } from "../../src/wasm/dns-calls.ts";
import type { DnsLookUp, DnsRecord } from "../../src/wasm/dns-calls.ts";
import { Status } from "../../src/wasm/enums.ts";
import { Bench, OUT } from "../support/bench.ts";

const FORMS: readonly { readonly records: readonly DnsRecord[]; readonly hex: string }[] = [
  { records: [], hex: "00000000" },
  {
    records: [{ address: "1.2.3.4", ttlSeconds: 258 }],
    hex: `0100000002010000${Buffer.from("1.2.3.4:0\0").toString("hex")}`,
  },
  {
    records: [
      { address: "::1", ttlSeconds: 0 },
      { address: "fe80::2", ttlSeconds: 1 },
    ],
    hex: `020000000000000001000000${Buffer.from("[::1]:0\0[fe80::2]:0\0").toString("hex")}`,
  },
];

for (const { records, hex } of FORMS) {
  test(`what was found is told in Envoy's form: ${JSON.stringify(records)}`, () => {
    assert.equal(Buffer.from(encodeRecords(records)).toString("hex"), hex);
  });
}

/** Keeps the size of the last callback at address 32, and counts them at address 36. */
const CALLBACK = `(func (export "envoy_on_resolve_dns") (param i32 i32 i32)
  (i32.store (i32.const 32) (local.get 2))
  (i32.store (i32.const 36) (i32.add (i32.load (i32.const 36)) (i32.const 1))))`;

interface Asked {
  readonly bench: Bench;
  readonly answers: ((records: readonly DnsRecord[] | null) => void)[];
}

async function asking(): Promise<Asked> {
  const answers: Asked["answers"] = [];
  const dns: DnsLookUp = (_name, onDone) => void answers.push(onDone);
  return { bench: await Bench.make("0_2_1", { services: { dns }, body: CALLBACK }), answers };
}

function toldOf({ memory }: Bench["vm"]): { readonly size: number; readonly count: number } {
  return { size: memory.u32At(32), count: memory.u32At(36) };
}

test("each look-up is told once, as bytes or as a failure", async () => {
  const { bench, answers } = await asking();
  const ask = (): number => bench.call("envoy_resolve_dns", "a.test", OUT);
  assert.equal(bench.inStream(ask), Status.ok);
  assert.equal(bench.inStream(ask), Status.ok);
  answers[0]?.([{ address: "1.2.3.4", ttlSeconds: 1 }]);
  assert.deepEqual(toldOf(bench.vm), { size: 18, count: 1 });
  answers[1]?.(null);
  assert.deepEqual(toldOf(bench.vm), { size: 0, count: 2 });
});

test("after the end of the plug-in nothing is told", async () => {
  const { bench, answers } = await asking();
  bench.inStream(() => bench.call("envoy_resolve_dns", "a.test", OUT));
  bench.root.shutDown();
  answers[0]?.([]);
  assert.deepEqual(toldOf(bench.vm), { size: 0, count: 0 });
});

test("an exchange has as many look-ups under way as calls, and more once one has ended", async () => {
  const { bench, answers } = await asking();
  const ask = (): number => bench.call("envoy_resolve_dns", "a.test", OUT);
  bench.inStream(() => {
    for (let count = 0; count < CALLS_PER_EXCHANGE_MAX; count++) assert.equal(ask(), Status.ok);
    assert.equal(ask(), Status.internalFailure);
  });
  answers[0]?.([]);
  assert.equal(bench.inStream(ask), Status.ok);
});

test("a name of more than 255 bytes is refused, and all are where nobody looks them up", async () => {
  const { bench, answers } = await asking();
  const ask = (name: string): number => bench.call("envoy_resolve_dns", name, OUT);
  assert.equal(
    bench.inStream(() => ask("a".repeat(256))),
    Status.badArgument,
  );
  assert.equal(answers.length, 0);
  const without = await Bench.make();
  const status = without.inStream(() => without.call("envoy_resolve_dns", "a.test", OUT));
  assert.equal(status, Status.unimplemented);
});
