import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNames } from "../listener/client-names.ts";
import { KnownPods } from "../runtime/known-pods.ts";
import { Caller } from "./caller.ts";

const SPIFFE = "spiffe://cluster.local/ns/shop/sa/batch";
const PODS = new KnownPods({
  workloads: {
    "shop/batch-1": {
      name: "batch-1",
      namespace: "shop",
      labels: { app: "batch", "app.kubernetes.io/name": "größe" },
      address: "127.0.0.9",
      inbound: [],
      outbound: { address: "127.0.0.9", port: 1 },
    },
  },
  endpoints: {
    a: {
      endpoints: [
        { address: "10.0.0.1", port: 80, pod: "shop/a-1", labels: { app: "a" } },
        { address: "10.0.0.1", port: 81, pod: "shop/a-1", labels: { app: "a" } },
        { address: "10.0.0.2", port: 80, pod: "shop/a-2", labels: {} },
        { address: "10.0.0.2", port: 80, pod: "shop/a-3", labels: {} },
        { address: "127.0.0.1", port: 80, pod: "shop/a-4", labels: {} },
      ],
    },
  },
});

function callerOf(peerAddress: string, subjectAltName: string | null = null): Caller {
  const names = subjectAltName === null ? null : parseNames(subjectAltName);
  return new Caller({ peerAddress, clientNames: () => names }, PODS);
}

const CASES: readonly {
  readonly title: string;
  readonly caller: Caller;
  readonly known: Readonly<Record<string, string | undefined>>;
}[] = [
  {
    title: "a pod of the local cluster, by its address",
    caller: callerOf("::ffff:127.0.0.9"),
    known: {
      namespace: "shop",
      pod: "batch-1",
      "labels.app": "batch",
      'labels["app.kubernetes.io/name"]': Buffer.from("größe").toString("latin1"),
      "labels.lane": undefined,
      serviceAccount: undefined,
    },
  },
  { title: "a pod behind a Service", caller: callerOf("10.0.0.1"), known: { pod: "a-1" } },
  {
    title: "an address that two pods have",
    caller: callerOf("10.0.0.2"),
    known: { pod: undefined, namespace: undefined },
  },
  { title: "the machine's own address", caller: callerOf("127.0.0.1"), known: { pod: undefined } },
  {
    title: "a workload, by its certificate",
    caller: callerOf("127.0.0.1", `URI:${SPIFFE}, DNS:batch.test, IP Address:10.0.0.1`),
    known: {
      identity: SPIFFE,
      namespace: "shop",
      serviceAccount: "batch",
      dnsName: "batch.test",
      pod: undefined,
    },
  },
  {
    title: "certificate and address together: the certificate's namespace",
    caller: callerOf("10.0.0.1", "URI:spiffe://cluster.local/ns/other/sa/x"),
    known: { namespace: "other", serviceAccount: "x", pod: "a-1" },
  },
  {
    title: "an id of another form",
    caller: callerOf("127.0.0.1", "URI:spiffe://cluster.local/batch"),
    known: { identity: "spiffe://cluster.local/batch", namespace: undefined },
  },
  {
    title: "two ids in one certificate",
    caller: callerOf("127.0.0.1", `URI:${SPIFFE}, URI:spiffe://x/ns/a/sa/b, DNS:batch.test`),
    known: { identity: undefined, namespace: undefined, dnsName: "batch.test" },
  },
];

for (const { title, caller, known } of CASES) {
  test(`what is known of ${title}`, () => {
    for (const [path, value] of Object.entries(known)) assert.equal(caller.read(path), value, path);
  });
}

test("a caller of whom nothing is known is told apart from one without the field", () => {
  assert.match(callerOf("10.9.9.9").fault, /no certificate .* 10\.9\.9\.9 is no pod's address/);
  assert.equal(callerOf("10.0.0.1").fault, "");
});

const NAMES: readonly (readonly [text: string, want: ReturnType<typeof parseNames>])[] = [
  ["", { uris: [], dnsNames: [] }],
  ["DNS:a, DNS:b", { uris: [], dnsNames: ["a", "b"] }],
  [String.raw`URI:"spiffe://a, DNS:forged"`, { uris: ["spiffe://a, DNS:forged"], dnsNames: [] }],
  ['DNS:"open', null],
  ["othername:<unsupported>, DNS:a", { uris: [], dnsNames: ["a"] }],
];

for (const [text, want] of NAMES) {
  test(`the names of a certificate ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseNames(text), want);
  });
}
