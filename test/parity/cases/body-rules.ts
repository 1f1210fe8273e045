//! Lanes that are entered by rules on the body, however it comes, and what no rule reads of it.

import type { Resource } from "../../../src/resources/object.ts";
import type { ParityCase, ParityGroup, Want } from "../case.ts";
import type { Question } from "../question.ts";
import { lane, laneGroup, routes, to } from "../topology.ts";

const LIMIT = 256;
const LARGEST = 1_048_576;

function laneOf(name: string, rule: object, priority: number): Resource {
  return lane(name, { selector: { matchLabels: { lane: "gray" } }, rule, priority });
}

const RULES: Readonly<Record<string, object>> = {
  id: { bodyJson: "user.id", operator: "==", value: "12345678901234567000" },
  level: { bodyJson: "user.level", operator: "in", values: ["vip", "größer"] },
  items: { bodyJson: "items", operator: "==", value: "a,7,true" },
  second: { bodyJson: "items[1].sku", operator: "regex", value: "[a-z]+-[0-9]+" },
  price: { bodyJson: '["total.price"]', operator: "<", value: "10" },
  version: { bodyJson: "app", operator: "semver", value: "^2.1" },
  plan: { bodyForm: "plan", operator: "in", values: ["paid", "größer", "a b"] },
  unmarked: {
    all: [
      { header: "x-unmarked", operator: "exists" },
      { not: { bodyJson: "mark", operator: "exists" } },
    ],
  },
};

const ROUTES = routes([
  { name: "closed", match: [{ uri: { prefix: "/closed" } }], route: [to("a")] },
  { name: "open", route: [to("a")] },
]);

function group(more: object): Resource {
  return laneGroup({ operands: { body: { maxBytes: LIMIT } }, ...more });
}

const BASE: Want = { hops: "a-base", lanes: "-" };
const inside = (name: string): Want => ({ hops: "a-gray", lanes: name });
const typed = (type: string, more: Question): Question => ({
  method: "POST",
  ...more,
  headers: [["content-type", type], ...(more.headers ?? [])],
});
const json = (body: Question["body"], more: Question = {}): Question =>
  typed("application/json", { ...more, ...(body === undefined ? {} : { body }) });
const form = (body: string): Question => typed("application/x-www-form-urlencoded", { body });
const parts = (body: string): Question => typed("multipart/form-data; boundary=B", { body });
const part = (value: string, parameters = "name=plan"): string =>
  `--B\r\nContent-Disposition: form-data; ${parameters}\r\n\r\n${value}\r\n--B--\r\n`;

const VIP = '{"user":{"level":"vip"}}';
const SPLIT = [VIP.slice(0, 9), VIP.slice(9, 10), VIP.slice(10)];

function ofLength(length: number): string {
  const start = '{"user":{"level":"vip"},"n":"';
  return `${start}${"x".repeat(length - start.length - 2)}"}`;
}

function inParts(body: string, count: number): string[] {
  const size = Math.ceil(body.length / count);
  return Array.from({ length: count }, (_, at) => body.slice(at * size, (at + 1) * size));
}

type Row = readonly [name: string, ask: Question, want: Want];

const READ: readonly Row[] = [
  ["a member of a JSON body", json(VIP), inside("level")],
  ["text/…+json", typed("Text/x.y+JSON; charset=utf-8", { body: VIP }), inside("level")],
  ["application/…+json", typed("Application/x.y+JSON; q=1", { body: VIP }), inside("level")],
  ["a text beyond ASCII", json('{"user":{"level":"größer"}}'), inside("level")],
  [
    "an escaped text and name",
    json('{"\\u0075ser":{"level":"gr\\u00f6\\u00dfer"}}'),
    inside("level"),
  ],
  ["a number as a double is printed", json('{"user":{"id":12345678901234567890}}'), inside("id")],
  ["the last of two members", json('{"user":{"level":"vip"},"user":{}}'), BASE],
  ["a list", json('{"items":["a",7.0,true]}'), inside("items")],
  ["a list that holds a list", json('{"items":["a",7,true,[]]}'), BASE],
  ["an element of a list", json('{"items":[0,{"sku":"ab-12"}]}'), inside("second")],
  ["a number that is compared", json('{"total.price":9.99e0}'), inside("price")],
  ["a number that is too large", json('{"total.price":1e1}'), BASE],
  ["a version", json('{"app":"2.4.0"}'), inside("version")],
  ["a broken document", json('{"user":{"level":"vip"}'), BASE],
  ["more than one document", json(`${VIP}1`), BASE],
  ["a byte order mark", json(`\ufeff${VIP}`), BASE],
  ["JSON that is called text", typed("text/plain", { body: VIP }), BASE],
  ["JSON of no type", { method: "POST", body: VIP }, BASE],
  ["a body with an encoding", json(VIP, { headers: [["content-encoding", "gzip"]] }), BASE],
  [
    "the encoding identity",
    json(VIP, { headers: [["content-encoding", "Identity"]] }),
    inside("level"),
  ],
  ["a field of a form", form("a=1&plan=paid"), inside("plan")],
  ["an escaped field of a form", form("pl%61n=gr%C3%B6%C3%9Fer"), inside("plan")],
  ["a plus in a form", form("plan=a+b"), inside("plan")],
  ["the first of two fields", form("plan=free&plan=paid"), BASE],
  ["a field of a form in parts", parts(part("paid")), inside("plan")],
  ["a file in a form", parts(part("paid", 'name="plan"; filename="x"')), BASE],
  ["a form that breaks off", parts(part("paid").slice(0, -6)), BASE],
  [
    "a form of another boundary",
    typed("multipart/form-data; boundary=C", { body: part("paid") }),
    BASE,
  ],
];

const COMING: readonly Row[] = [
  ["a body in chunks", json(SPLIT), inside("level")],
  ["a body with trailers", json(SPLIT, { trailers: { "x-end": "1" } }), inside("level")],
  ["a body that waits for 100 Continue", json(VIP, { expects: true }), inside("level")],
  [
    "a body of a GET",
    json(VIP, { method: "GET", headers: [["content-length", String(VIP.length)]] }),
    inside("level"),
  ],
  ["HTTP/2 without a length", json(SPLIT, { isHttp2: true }), inside("level")],
  [
    "HTTP/2 with a length",
    json(VIP, { isHttp2: true, headers: [["content-length", String(VIP.length)]] }),
    inside("level"),
  ],
  [
    "HTTP/2 with trailers",
    json(SPLIT, { isHttp2: true, trailers: { "x-end": "1" } }),
    inside("level"),
  ],
  ["HTTP/2 without a body", json(undefined, { isHttp2: true }), BASE],
  ["no body", json(undefined), BASE],
  ["an empty body", json(""), BASE],
  ["an empty body in chunks", json([]), BASE],
  ["a body as long as the limit", json(ofLength(LIMIT)), inside("level")],
  ["a body one byte longer", json(ofLength(LIMIT + 1)), BASE],
  ["chunks as long as the limit", json(inParts(ofLength(LIMIT), 3)), inside("level")],
  ["chunks one byte longer", json(inParts(ofLength(LIMIT + 1), 3)), BASE],
  ["a limit over HTTP/2", json(inParts(ofLength(LIMIT), 3), { isHttp2: true }), inside("level")],
  ["one more over HTTP/2", json(inParts(ofLength(LIMIT + 1), 3), { isHttp2: true }), BASE],
  ["long bodies in chunks go on whole", json(inParts("y".repeat(2 * LARGEST), 40)), BASE],
];

const DECIDED: readonly Row[] = [
  ["a missing body meets a denial", { headers: [["x-unmarked", "1"]] }, inside("unmarked")],
  ["a body meets a denial", json("{}", { headers: [["x-unmarked", "1"]] }), inside("unmarked")],
  ["a body does not meet a denial", json('{"mark":0}', { headers: [["x-unmarked", "1"]] }), BASE],
  [
    "the first lane by priority counts",
    json('{"user":{"level":"vip","id":12345678901234567890}}'),
    inside("id"),
  ],
  ["a route where no lane is entered", json(VIP, { path: "/closed" }), BASE],
  [
    "a client's own list of rules is not believed",
    { headers: [["x-graylane-rules", ",a,"]] },
    BASE,
  ],
];

function caseOf([name, ask, want]: Row): ParityCase {
  const { body } = ask;
  const sent = typeof body === "string" ? body : (body?.join("") ?? "");
  return { name: `${name}: ${want.lanes ?? ""}`, ask, want: { ...want, body: sent } };
}

const LANES = Object.entries(RULES).map(([name, rule], index) => laneOf(name, rule, index));

const BODIES: ParityGroup = {
  name: "lanes by rules on the body",
  objects: [ROUTES, group({ entry: entryOf("open") }), ...LANES],
  cases: [...READ, ...COMING, ...DECIDED].map(caseOf),
};

const LARGE: ParityGroup = {
  name: "lanes by rules on the largest body",
  objects: [ROUTES, group({ operands: { body: { maxBytes: LARGEST } } }), ...LANES],
  cases: [
    ["a body as long as the limit", json(ofLength(LARGEST)), inside("level")] as const,
    ["chunks as long as the limit", json(inParts(ofLength(LARGEST), 20)), inside("level")] as const,
    ["chunks that are longer", json(inParts(ofLength(LARGEST + 1), 20)), BASE] as const,
    ["much longer chunks", json(inParts(ofLength(3 * LARGEST), 3)), BASE] as const,
    ["HTTP/2", json(inParts(ofLength(LARGEST), 20), { isHttp2: true }), inside("level")] as const,
    ["any route", json(VIP, { path: "/closed" }), inside("level")] as const,
  ].map(caseOf),
};

const CARRIED: ParityGroup = {
  name: "lanes by rules on the body beside a context",
  objects: [ROUTES, group({ acceptFromClients: true }), ...LANES],
  cases: [
    ["a context", json(VIP, { headers: [["x-lane", "plan"]] }), inside("plan")] as const,
    ["no context", json(VIP), inside("level")] as const,
    ["an empty context", json(VIP, { headers: [["x-lane", ""]] }), inside("level")] as const,
  ].map(caseOf),
};

function entryOf(route: string): object {
  return {
    gateways: [{ name: "ingressgateway", namespace: "istio-system" }],
    routes: [{ virtualService: "shop", route }],
  };
}

export const BODY_RULE_GROUPS: readonly ParityGroup[] = [BODIES, LARGE, CARRIED];
