import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestParser } from "../../http/request-parser.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";
import { addEdgeFields, DEFAULT_EDGE, isInternalAddress, settleTarget } from "./edge-fields.ts";

function headOf(fields: string, target = "/"): RequestHead {
  const heads: RequestHead[] = [];
  const parser = new RequestParser({
    onRequestHead: (head) => void heads.push(head),
    onRequestBody: () => undefined,
    onRequestEnd: () => undefined,
  });
  parser.execute(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`, "latin1"));
  const head = heads[0];
  assert.ok(head !== undefined);
  return head;
}

interface Case {
  readonly name: string;
  readonly fields?: string;
  readonly settings?: Partial<EdgeSettings>;
  readonly peer?: string;
  readonly isSecure?: boolean;
  /** Null: the field must be absent. */
  readonly want: Readonly<Record<string, string | null>>;
  readonly client?: string;
}

const CASES: readonly Case[] = [
  {
    name: "a client from outside: its claims are replaced or removed",
    peer: "203.0.113.9",
    fields:
      "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n" +
      "X-Forwarded-Port: 1\r\nX-Envoy-Internal: true\r\nX-Request-Id: chosen\r\n",
    want: {
      "x-forwarded-for": "1.1.1.1,203.0.113.9",
      "x-forwarded-proto": "http",
      "x-forwarded-host": null,
      "x-forwarded-port": null,
      "x-envoy-internal": null,
      "x-envoy-external-address": "203.0.113.9",
    },
    client: "203.0.113.9",
  },
  {
    name: "what steers Envoys and who was certified elsewhere is nobody's to send",
    settings: { trustedProxies: 1 },
    fields:
      "X-Envoy-Retry-On: 5xx\r\nX-Envoy-Retry-On: reset\r\nX-Forwarded-Client-Cert: By=a\r\n" +
      "X-Envoy-Ip-Tags: t\r\nX-Envoy-Attempt-Count: 2\r\nX-Forwarded-Host: a.test\r\n",
    want: {
      "x-envoy-retry-on": null,
      "x-forwarded-client-cert": null,
      "x-envoy-ip-tags": null,
      "x-envoy-attempt-count": "2",
      "x-forwarded-host": "a.test",
    },
  },
  {
    name: "a client of the same network keeps its request id, and is no external address",
    fields: "X-Request-Id: mine\r\nX-Envoy-External-Address: 1.2.3.4\r\n",
    want: { "x-request-id": "mine", "x-envoy-external-address": null },
    client: "10.0.0.1",
  },
  {
    name: "behind one trusted proxy its word counts: the last address it saw, and the scheme",
    peer: "203.0.113.9",
    settings: { trustedProxies: 1 },
    fields:
      "X-Forwarded-For: 9.9.9.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n" +
      "X-Forwarded-Host: shop.test\r\nX-Request-Id: theirs\r\n",
    want: {
      "x-forwarded-for": "9.9.9.9, 198.51.100.7,203.0.113.9",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "shop.test",
      "x-request-id": "theirs",
      "x-envoy-external-address": "198.51.100.7",
    },
    client: "198.51.100.7",
  },
  {
    name: "behind two the address before it",
    settings: { trustedProxies: 2 },
    fields: "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 198.51.100.7\r\n",
    want: { "x-forwarded-for": "9.9.9.9,198.51.100.7,10.0.0.1" },
    client: "9.9.9.9",
  },
  {
    name: "fewer addresses than proxies: nobody's word counts",
    settings: { trustedProxies: 3 },
    fields: "X-Forwarded-For: 9.9.9.9\r\n",
    want: {},
    client: "10.0.0.1",
  },
  {
    name: "what is no address is not believed",
    settings: { trustedProxies: 1 },
    fields: "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: gopher\r\n",
    want: { "x-forwarded-proto": "http" },
    client: "10.0.0.1",
  },
  {
    name: "over TLS the scheme is https",
    isSecure: true,
    want: { "x-forwarded-proto": "https" },
  },
  {
    name: "Via, host and port are said where asked for",
    settings: { via: "edge-1", addForwardedHostPort: true },
    fields: "Via: 1.0 fred\r\nVia: 1.1 barney\r\n",
    want: {
      via: "1.0 fred, 1.1 barney, 1.1 edge-1",
      "x-forwarded-host": "a.test",
      "x-forwarded-port": "8443",
    },
  },
];

describe("the fields of the edge", () => {
  for (const { name, fields = "", settings, want, client, ...peer } of CASES) {
    test(name, () => {
      const head = headOf(fields);
      const { peer: remoteAddress = "10.0.0.1", isSecure = false } = peer;
      const all = { ...DEFAULT_EDGE, ...settings };
      const result = addEdgeFields(head, all, { remoteAddress, isSecure }, 8443);
      for (const [field, value] of Object.entries(want)) {
        assert.deepEqual(head.headers.getAll(field), value === null ? [] : [value], field);
      }
      if (client !== undefined) assert.equal(result.clientAddress, client);
      assert.equal(head.headers.get("x-request-id"), result.requestId);
      assert.notEqual(result.requestId, "chosen");
    });
  }

  test("a request id that is too long is replaced", () => {
    const head = headOf(`X-Request-Id: ${"a".repeat(129)}\r\n`);
    const peer = { remoteAddress: "10.0.0.1", isSecure: false };
    assert.match(addEdgeFields(head, DEFAULT_EDGE, peer, 80).requestId, /^[0-9a-f-]{36}$/);
  });

  test("private and loopback addresses are internal", () => {
    const inside = ["127.0.0.1", "10.1.1.1", "192.168.0.1", "172.16.0.1", "172.31.9.9", "::1"];
    for (const address of [...inside, "::ffff:10.0.0.1", "fd00::1"]) {
      assert.equal(isInternalAddress(address), true, address);
    }
    for (const address of ["172.32.0.1", "172.15.0.1", "8.8.8.8", "2001:db8::1", "100.64.0.1"]) {
      assert.equal(isInternalAddress(address), false, address);
    }
  });
});

describe("the target", () => {
  test("is brought to one form", () => {
    const head = headOf("", "/a/../b%2e?x=/..");
    assert.equal(settleTarget(head, DEFAULT_EDGE), null);
    assert.equal(head.target, "/b.?x=/..");
  });

  test("is refused with an encoded NUL", () => {
    assert.equal(settleTarget(headOf("", "/%00"), DEFAULT_EDGE)?.code, "bad_path");
  });

  test("is refused in absolute-form where the setting says so", () => {
    const settings = { ...DEFAULT_EDGE, refuseAbsoluteForm: true };
    const head = headOf("", "http://b.test/x");
    assert.equal(settleTarget(head, settings)?.code, "absolute_form_refused");
    assert.equal(settleTarget(headOf(""), settings), null);
    assert.equal(settleTarget(head, DEFAULT_EDGE), null);
  });
});
