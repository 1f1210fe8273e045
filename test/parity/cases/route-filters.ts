//! Cross-origin requests, and faults that a route injects.

import type { ParityCase, ParityGroup } from "../case.ts";
import type { Question } from "../question.ts";
import { routes, subsetsOf, to } from "../topology.ts";

const BASE = [to("a", "base")];
const ORIGIN = "access-control-allow-origin";
const METHODS = "access-control-allow-methods";
const CREDENTIALS = "access-control-allow-credentials";
const EXPOSED = "access-control-expose-headers";

function at(path: string, more: object): object {
  return { match: [{ uri: { prefix: path } }], route: BASE, ...more };
}

function from(origin: string, path: string): Question {
  return { path, headers: [["origin", origin]] };
}

function preflight(origin: string, path: string): Question {
  const asked = [["access-control-request-method", "PUT"] as const];
  return { path, method: "OPTIONS", headers: [["origin", origin] as const, ...asked] };
}

const ALLOWED = { hops: "a-base", headers: { [ORIGIN]: "http://x.test" } };
const NOT_ALLOWED = { hops: "a-base", headers: { [ORIGIN]: null } };

const CORS: ParityGroup = {
  name: "CORS",
  objects: [
    routes([
      at("/full", {
        corsPolicy: {
          allowOrigins: [{ exact: "http://x.test" }, { prefix: "https://y." }],
          ...{ allowMethods: ["GET", "PUT"], allowHeaders: ["x-a", "x-b"] },
          ...{ exposeHeaders: ["x-c"], maxAge: "24h", allowCredentials: true },
        },
      }),
      at("/regex", { corsPolicy: { allowOrigins: [{ regex: "http://[a-z]+[.]test" }] } }),
      at("/any", { corsPolicy: { allowOrigins: [{ exact: "*" }] } }),
      at("/ignored", {
        corsPolicy: {
          ...{ allowOrigins: [{ exact: "http://x.test" }], unmatchedPreflights: "IGNORE" },
        },
      }),
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    ...(
      [
        ["an exact origin is told", from("http://x.test", "/full"), ALLOWED],
        ["an origin by prefix", from("https://y.test", "/full"), "https://y.test"],
        ["an origin by regular expression", from("http://q.test", "/regex"), "http://q.test"],
        ["a regular expression is matched whole", from("http://q.test:1", "/regex"), NOT_ALLOWED],
        ["* is any origin, which is told", from("http://z.test", "/any"), "http://z.test"],
        ["another origin is told nothing", from("http://z.test", "/full"), NOT_ALLOWED],
        ["another case of the origin is another one", from("http://X.test", "/full"), NOT_ALLOWED],
        ["a request without origin is told nothing", { path: "/full" }, NOT_ALLOWED],
        ["a route without CORS tells nothing", from("http://x.test", "/"), NOT_ALLOWED],
      ] as const
    ).map(([name, ask, want]): ParityCase => ({
      ...{ name, ask },
      want: typeof want === "string" ? { hops: "a-base", headers: { [ORIGIN]: want } } : want,
    })),
    {
      name: "what may be read is told",
      ask: from("http://x.test", "/full"),
      want: { headers: { [EXPOSED]: "x-c", [CREDENTIALS]: "true", [METHODS]: null } },
    },
    {
      name: "a preflight is answered by the gateway",
      ask: preflight("http://x.test", "/full"),
      want: {
        ...{ status: 200, hops: "", text: "" },
        headers: {
          ...{ [ORIGIN]: "http://x.test", [METHODS]: "GET,PUT", [CREDENTIALS]: "true" },
          ...{ "access-control-allow-headers": "x-a,x-b", "access-control-max-age": "86400" },
          [EXPOSED]: "x-c",
        },
      },
    },
    {
      name: "what the policy does not say is not in the answer",
      ask: preflight("http://q.test", "/regex"),
      want: {
        ...{ status: 200, hops: "" },
        headers: { [ORIGIN]: "http://q.test", [METHODS]: null, "access-control-max-age": null },
      },
    },
    {
      name: "a preflight of another origin goes to the service",
      ask: preflight("http://z.test", "/full"),
      want: { hops: "a-base", method: "OPTIONS", headers: { [ORIGIN]: null } },
    },
    {
      name: "a preflight of another origin is not forwarded where it is to be ignored",
      ask: preflight("http://z.test", "/ignored"),
      want: { status: 200, hops: "", text: "", headers: { [ORIGIN]: null } },
    },
    {
      name: "OPTIONS without a method that is asked for is no preflight",
      ask: { ...from("http://x.test", "/full"), method: "OPTIONS" },
      want: { ...ALLOWED, method: "OPTIONS" },
    },
  ],
};

const ALWAYS = { percentage: { value: 100 } };
const NEVER = { percentage: { value: 0 } };

const FAULTS: ParityGroup = {
  name: "injected faults",
  objects: [
    routes([
      at("/abort", { fault: { abort: { httpStatus: 418, ...ALWAYS } } }),
      at("/never", { fault: { abort: { httpStatus: 418, ...NEVER } } }),
      at("/delay", { fault: { delay: { fixedDelay: "0.05s", ...ALWAYS } } }),
      at("/both", {
        fault: {
          ...{ delay: { fixedDelay: "0.05s", ...ALWAYS }, abort: { httpStatus: 599, ...ALWAYS } },
        },
      }),
      at("/cors", {
        fault: { abort: { httpStatus: 418, ...ALWAYS } },
        corsPolicy: { allowOrigins: [{ exact: "http://x.test" }] },
      }),
      {
        match: [{ uri: { prefix: "/redirect" } }],
        redirect: { uri: "/elsewhere" },
        fault: { abort: { httpStatus: 418, ...ALWAYS } },
      },
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    { name: "an abort", ask: { path: "/abort" }, want: { status: 418, hops: "", text: /./ } },
    { name: "an abort of no share", ask: { path: "/never" }, want: { hops: "a-base" } },
    { name: "a delay", ask: { path: "/delay" }, want: { hops: "a-base" } },
    { name: "an abort after a delay", ask: { path: "/both" }, want: { status: 599, hops: "" } },
    { name: "an abort before a redirect", ask: { path: "/redirect" }, want: { status: 418 } },
    { name: "a route without a fault", ask: { path: "/" }, want: { hops: "a-base" } },
    {
      name: "an aborted request of an allowed origin may be read",
      ask: from("http://x.test", "/cors"),
      want: { status: 418, headers: { [ORIGIN]: "http://x.test" } },
    },
    {
      name: "a preflight is answered before a fault",
      ask: preflight("http://x.test", "/cors"),
      want: { status: 200, headers: { [ORIGIN]: "http://x.test" } },
    },
  ],
};

export const ROUTE_FILTER_GROUPS: readonly ParityGroup[] = [CORS, FAULTS];
