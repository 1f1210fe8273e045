import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import type { Condition, LaneGroup, OperandSources, Snapshot } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { RawClient, startFixture, turn } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute } from "../testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../testing/snapshot-maker.ts";

const TIMEOUT = { timeout: 60_000 };
const A = cluster("a");
const LIMIT = 128;
const VIP: Condition = {
  kind: "test",
  operand: { kind: "bodyJson", name: "user.level" },
  operator: "==",
  values: ["vip"],
};
const PAID: Condition = {
  kind: "test",
  operand: { kind: "bodyForm", name: "plan" },
  operator: "in",
  values: ["paid", "größer"],
};

interface Upstream {
  readonly port: number;
  /** Requests whose head has come. */
  heads: number;
}

/** Answers with its name and the body that it got. */
async function startUpstream(name: string): Promise<Upstream> {
  const upstream = { port: 0, heads: 0 };
  const server = createServer((request, response) => {
    upstream.heads += 1;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => response.end(`${name}:${Buffer.concat(chunks).toString()}`));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  upstream.port = (server.address() as AddressInfo).port;
  return upstream;
}

function groupOf(changes: Partial<LaneGroup>, conditions: readonly Condition[]): LaneGroup {
  return laneGroupOf({
    services: ["default/a"],
    stripFromClients: false,
    lanes: [
      laneOf("gray", {
        rule: { programVersion: 2, condition: { kind: "any", of: conditions } },
      }),
    ],
    ...changes,
  });
}

async function start(changes: Partial<LaneGroup> = {}, conditions = [VIP, PAID]) {
  const base = await startUpstream("base");
  const gray = await startUpstream("gray");
  const operands: OperandSources = { trustedHops: 0, bodyBytesMax: LIMIT };
  const routes = ["/ruled", "/"].map((value, index) =>
    forwardRoute(A.name, {
      id: `default/test/http[${index}]`,
      label: value,
      matches: [{ uri: { kind: "prefix", value } }],
    }),
  );
  const snapshot: Snapshot = gatewaySnapshot(80, routes, {
    clusters: { [A.name]: A },
    endpoints: {
      [A.name]: { endpoints: [endpoint(base.port), endpoint(gray.port, { lane: "gray" })] },
    },
    laneGroups: { "default/shop": groupOf({ operands, ...changes }, conditions) },
  });
  const gateway = await startFixture(snapshot);
  return { base, gray, gateway };
}

const JSON_TYPE = "content-type: application/json; charset=utf-8";
const FORM_TYPE = "content-type: application/x-www-form-urlencoded";
const PARTS_TYPE = "content-type: multipart/form-data; boundary=B";
const VIP_BODY = `{"user": {"level": "vip"}}`;

function sized(body: string, ...headers: readonly string[]): string {
  return [
    "POST /ruled HTTP/1.1",
    "host: a",
    "connection: close",
    `content-length: ${Buffer.byteLength(body, "latin1")}`,
    ...headers,
    "",
    body,
  ].join("\r\n");
}

function part(value: string, parameters = "name=plan"): string {
  return `--B\r\ncontent-disposition: form-data; ${parameters}\r\n\r\n${value}\r\n--B--\r\n`;
}

function chunked(parts: readonly string[], ...headers: readonly string[]): string {
  const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
  const head = ["POST /ruled HTTP/1.1", "host: a", "connection: close", ...headers];
  return [...head, "transfer-encoding: chunked", "", `${chunks}0\r\n\r\n`].join("\r\n");
}

const LONG = `{"user": {"level": "vip", "note": "${"x".repeat(LIMIT)}"}}`;

const CASES: readonly {
  readonly title: string;
  readonly request: string;
  readonly served: "gray" | "base";
}[] = [
  { title: "a JSON body meets a rule", request: sized(VIP_BODY, JSON_TYPE), served: "gray" },
  {
    title: "a type of JSON that ends in +json counts",
    request: sized(VIP_BODY, "content-type: application/vnd.shop+json"),
    served: "gray",
  },
  {
    title: "a chunked JSON body meets a rule",
    request: chunked([VIP_BODY.slice(0, 9), VIP_BODY.slice(9)], JSON_TYPE),
    served: "gray",
  },
  {
    title: "a field of a form meets a rule",
    request: sized("a=1&plan=paid", FORM_TYPE),
    served: "gray",
  },
  {
    title: "a field of a form is compared as UTF-8",
    request: sized("plan=gr%C3%B6%C3%9Fer", FORM_TYPE),
    served: "gray",
  },
  {
    title: "a field of a form in parts meets a rule",
    request: sized(part("paid"), PARTS_TYPE),
    served: "gray",
  },
  {
    title: "a file in a form is no field",
    request: sized(part("paid", "name=plan; filename=x"), PARTS_TYPE),
    served: "base",
  },
  { title: "parts that break off", request: sized("--B\r\nx", PARTS_TYPE), served: "base" },
  { title: "JSON of another value", request: sized(`{"user": 1}`, JSON_TYPE), served: "base" },
  { title: "a broken document", request: sized(`{"user": `, JSON_TYPE), served: "base" },
  { title: "JSON that is called a form", request: sized(VIP_BODY, FORM_TYPE), served: "base" },
  { title: "a body of no type", request: sized(VIP_BODY), served: "base" },
  {
    title: "an encoded body",
    request: sized(VIP_BODY, JSON_TYPE, "content-encoding: br"),
    served: "base",
  },
  { title: "an empty body", request: sized("", JSON_TYPE), served: "base" },
  { title: "a sized body over the limit", request: sized(LONG, JSON_TYPE), served: "base" },
  {
    title: "a chunked body over the limit",
    request: chunked([LONG.slice(0, 50), LONG.slice(50)], JSON_TYPE),
    served: "base",
  },
];

after(endAll);

for (const { title, request, served } of CASES) {
  test(`${title}: ${served}, and the body goes on whole`, TIMEOUT, async () => {
    const { gateway } = await start();
    const client = await RawClient.open(gateway.port);
    // Byte by byte would be slow; two halves show that nothing depends on one packet.
    client.send(request.slice(0, -5));
    await turn();
    client.send(request.slice(-5));
    const answer = await client.closed();
    const body = /\r\n\r\n(?:[\s\S]*?)(base|gray):([\s\S]*?)(?:\r\n0\r\n\r\n)?$/.exec(answer);
    assert.equal(body?.[1], served, answer);
    const sent = request.slice(request.indexOf("\r\n\r\n") + 4);
    const isChunked = request.includes("transfer-encoding");
    const want = isChunked ? (title.includes("limit") ? LONG : VIP_BODY) : sent;
    assert.equal(body[2], want);
    assert.deepEqual(gateway.assertions, []);
  });
}

test("a body as long as the limit is read, one byte more is not", TIMEOUT, async () => {
  const { gateway } = await start();
  const ofLength = (length: number): string => {
    const start = `{"user":{"level":"vip"},"n":"`;
    return `${start}${"x".repeat(length - start.length - 2)}"}`;
  };
  for (const [length, served] of [
    [LIMIT, "gray:"],
    [LIMIT + 1, "base:"],
  ] as const) {
    for (const request of [
      sized(ofLength(length), JSON_TYPE),
      chunked([ofLength(length)], JSON_TYPE),
    ]) {
      const client = await RawClient.open(gateway.port);
      client.send(request);
      assert.match(await client.closed(), new RegExp(served));
    }
  }
});

test("a client that waits for 100 Continue is asked for the body", TIMEOUT, async () => {
  const { gateway } = await start();
  const client = await RawClient.open(gateway.port);
  const whole = sized(VIP_BODY, JSON_TYPE, "expect: 100-continue");
  const end = whole.indexOf("\r\n\r\n") + 4;
  client.send(whole.slice(0, end));
  assert.match(await client.until(/100 Continue/), /100 Continue/);
  client.send(whole.slice(end));
  assert.match(await client.closed(), /gray:/);
});

const HEAD = (path: string, ...headers: readonly string[]): string =>
  [`POST ${path} HTTP/1.1`, "host: a", "content-length: 2", ...headers, "", ""].join("\r\n");

const UNHELD: readonly {
  readonly title: string;
  readonly group?: Partial<LaneGroup>;
  readonly conditions?: Condition[];
  readonly request: string;
}[] = [
  {
    title: "on a route that is no entry of the lane group",
    group: { entryRoutes: [{ virtualService: "default/test", route: "/ruled" }] },
    request: HEAD("/other", JSON_TYPE),
  },
  { title: "when it has a lane context", request: HEAD("/ruled", JSON_TYPE, "x-lane: gray") },
  {
    title: "when no rule reads bodies",
    conditions: [
      { kind: "test", operand: { kind: "path", name: "" }, operator: "==", values: ["/x"] },
    ],
    request: HEAD("/ruled", JSON_TYPE),
  },
  {
    title: "of a type that no rule can read",
    request: HEAD("/ruled", "content-type: application/grpc"),
  },
  {
    title: "that has a coding",
    request: HEAD("/ruled", JSON_TYPE, "content-encoding: gzip"),
  },
];

for (const { title, group, conditions, request } of UNHELD) {
  test(`a request is not held back for its body ${title}`, TIMEOUT, async () => {
    const { gateway, base, gray } = await start(group, conditions ?? [VIP]);
    const client = await RawClient.open(gateway.port);
    client.send(request);
    while (base.heads + gray.heads === 0) await turn();
    client.send("{}");
    assert.match(await client.until(/(base|gray):\{\}/), /200 OK/);
  });
}

test("a request is held back on a route with a body rule", TIMEOUT, async () => {
  const { gateway, base, gray } = await start(
    { entryRoutes: [{ virtualService: "default/test", route: "/ruled" }] },
    [VIP],
  );
  const client = await RawClient.open(gateway.port);
  client.send(HEAD("/ruled", JSON_TYPE));
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.equal(base.heads + gray.heads, 0);
  client.send("{}");
  assert.match(await client.until(/base:\{\}/), /200 OK/);
});

const WHY_MISSING: readonly (readonly [type: string, body: string, why: string])[] = [
  ["text/plain", "plan=paid", "the content-type is that of no form"],
  ["application/json", "{}", "the content-type is that of no form"],
  ["", "", "the request has no body"],
  ["multipart/form-data", part("paid"), "the content-type multipart/form-data has no usable"],
  ["multipart/form-data; boundary=B", "plan", "the body is no well-formed multipart/form-data"],
  [
    "multipart/form-data; boundary=B",
    part("paid", "name=plan; filename=x"),
    "the part of that name is a file",
  ],
  ["multipart/form-data; boundary=B", "x".repeat(LIMIT + 1), "the body is longer than the limit"],
];

test("explain says why a form has no such field", TIMEOUT, async () => {
  const { gateway } = await start({}, [PAID]);
  const question = { method: "POST", authority: "a", target: "/ruled", port: 80 };
  for (const [type, body, why] of WHY_MISSING) {
    const headers = [["content-type", type]] as const;
    const answer = await gateway.role.explain({ ...question, headers, body });
    assert.match(answer?.decision?.detail ?? "", new RegExp(`absent, since ${why}`));
  }
});
