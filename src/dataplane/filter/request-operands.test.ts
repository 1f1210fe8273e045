import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../../http/headers.ts";
import type { OperandKind } from "../../snapshot/snapshot.ts";
import { readOperand } from "./request-operands.ts";

interface Given {
  readonly target?: string;
  readonly authority?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly hops?: number;
}

function read(kind: OperandKind, name: string, given: Given): string | undefined {
  const headers = new Headers();
  for (const [field, value] of given.headers ?? []) headers.add(field, value);
  const request = {
    method: "GET",
    target: given.target ?? "/",
    authority: given.authority ?? "shop",
    headers,
  };
  const asked = { request, remoteAddress: "10.0.0.9", collected: null };
  return readOperand(asked, { name: "g", operands: { trustedHops: given.hops ?? 0 } }, kind, name);
}

const FORWARDED = [
  ["x-forwarded-for", "6.6.6.6, 1.1.1.1"],
  ["x-forwarded-for", "2.2.2.2,10.0.0.9"],
] as const;

const CASES: readonly {
  readonly title: string;
  readonly kind: OperandKind;
  readonly name?: string;
  readonly given: Given;
  readonly want: string | undefined;
}[] = [
  {
    title: "the first of several headers counts",
    kind: "header",
    name: "a",
    given: { headers: [...[["a", "1"] as const], ["a", "2"]] },
    want: "1",
  },
  {
    title: "a cookie is found among others and in a later field",
    kind: "cookie",
    name: "user",
    given: { headers: [...[["cookie", "xuser=1; a=b"] as const], ["cookie", "user=4711=;user=2"]] },
    want: "4711=",
  },
  { title: "no cookie is missing", kind: "cookie", name: "user", given: {}, want: undefined },
  {
    title: "a query parameter is decoded",
    kind: "query",
    name: "a b",
    given: { target: "/x?c=1&a%20b=%2Fy+z%" },
    want: "/y z%",
  },
  {
    title: "a query parameter without = is there and empty",
    kind: "query",
    name: "flag",
    given: { target: "/x?flag&b" },
    want: "",
  },
  { title: "no query is missing", kind: "query", name: "a", given: {}, want: undefined },
  { title: "the path is without query", kind: "path", given: { target: "/a?b" }, want: "/a" },
  {
    title: "the host is lower-case, without port",
    kind: "host",
    given: { authority: "Shop.x.:80" },
    want: "shop.x",
  },
  {
    title: "a host may be an address",
    kind: "host",
    given: { authority: "[::1]:80" },
    want: "[::1]",
  },
  { title: "the method is as it was sent", kind: "method", given: {}, want: "GET" },
  {
    title: "without trusted hops nobody's x-forwarded-for is believed",
    kind: "clientIp",
    given: { headers: FORWARDED },
    want: "10.0.0.9",
  },
  {
    title: "one trusted hop: the last address",
    kind: "clientIp",
    given: { headers: FORWARDED, hops: 1 },
    want: "2.2.2.2",
  },
  {
    title: "two trusted hops: the last but one, across fields",
    kind: "clientIp",
    given: { headers: FORWARDED, hops: 2 },
    want: "1.1.1.1",
  },
  {
    title: "more trusted hops than addresses: that of the connection",
    kind: "clientIp",
    given: { headers: FORWARDED, hops: 4 },
    want: "10.0.0.9",
  },
];
for (const { title, kind, name = "", given, want } of CASES) {
  test(title, () => {
    assert.equal(read(kind, name, given), want);
  });
}
