import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "./headers.ts";
import { removeHopByHop } from "./hop-by-hop.ts";

type Pairs = readonly (readonly [string, string])[];

const cases: readonly { name: string; fields: Pairs; want: Pairs }[] = [
  {
    name: "a message without such fields stays as it is",
    fields: [
      ["host", "a"],
      ["accept", "*/*"],
    ],
    want: [
      ["host", "a"],
      ["accept", "*/*"],
    ],
  },
  {
    name: "the fields of RFC 9110 7.6.1 go",
    fields: [
      ["connection", "keep-alive"],
      ["keep-alive", "timeout=5"],
      ["proxy-connection", "close"],
      ["host", "a"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "h2c"],
      ["te", "gzip"],
      ["proxy-authorization", "Basic x"],
    ],
    want: [["host", "a"]],
  },
  {
    name: "what Connection names goes, in any case, from every Connection field",
    fields: [
      ["connection", "close, X-A"],
      ["x-a", "1"],
      ["x-b", "2"],
      ["x-c", "3"],
      ["connection", "x-b"],
    ],
    want: [["x-c", "3"]],
  },
  {
    name: "a peer cannot have framing, Host or identity removed by naming them",
    fields: [
      ["connection", "host, content-length, authorization, x-forwarded-for, cookie"],
      ["host", "a"],
      ["content-length", "3"],
      ["authorization", "x"],
      ["x-forwarded-for", "1.2.3.4"],
      ["cookie", "a=b"],
    ],
    want: [
      ["host", "a"],
      ["content-length", "3"],
      ["authorization", "x"],
      ["x-forwarded-for", "1.2.3.4"],
      ["cookie", "a=b"],
    ],
  },
  {
    name: "of te only trailers stays, even where Connection names it",
    fields: [
      ["connection", "te"],
      ["te", "gzip, Trailers"],
    ],
    want: [["te", "trailers"]],
  },
];

for (const { name, fields, want } of cases) {
  test(name, () => {
    const headers = new Headers();
    for (const [field, value] of fields) headers.add(field, value);
    removeHopByHop(headers);
    const rest = headers.names.map((field, index) => [field, headers.values[index]]);
    assert.deepEqual(rest, want);
  });
}
