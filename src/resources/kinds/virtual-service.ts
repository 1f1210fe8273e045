//! networking.istio.io VirtualService, with the `fallback` that ASM adds to a route's destination.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { accepted, labels, mapOf, notHonoured, notHonouredFields, port, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { HTTP_POLICY_FIELDS } from "./virtual-service-policy.ts";
import type { HttpPolicyFields } from "./virtual-service-policy.ts";

export interface VirtualServiceSpec {
  /** Absent or empty: it has no routes of its own, but those that others delegate to it. */
  readonly hosts: readonly string[];
  /** `name` or `namespace/name`; `mesh` means the sidecars. Absent: `mesh`. */
  readonly gateways?: readonly string[];
  /** The first route that matches wins. */
  readonly http?: readonly HttpRoute[];
  /** Of a delegate: the namespaces whose VirtualServices may name it. Absent: all. */
  readonly exportTo?: readonly string[];
}

export interface HttpRoute extends HttpPolicyFields {
  readonly name?: string;
  /** OR of matches; absent or empty matches everything. */
  readonly match?: readonly HttpMatch[];
  readonly route?: readonly HttpRouteDestination[];
  readonly directResponse?: DirectResponse;
  /** A VirtualService without hosts; absent namespace: this one's. */
  readonly delegate?: { readonly name: string; readonly namespace?: string };
  /** A duration such as `5s`; `0s` means no limit. */
  readonly timeout?: string;
  readonly headers?: HeaderChanges;
}

/** AND of all that is given. */
export interface HttpMatch {
  readonly name?: string;
  readonly uri?: StringMatch;
  readonly method?: StringMatch;
  readonly scheme?: StringMatch;
  readonly authority?: StringMatch;
  /** The port that the request came in at. */
  readonly port?: number;
  /** Only at these of the VirtualService's gateways. */
  readonly gateways?: readonly string[];
  /** Labels of the proxy: of the gateway, or of the calling pod. */
  readonly sourceLabels?: Labels;
  /** Of the proxy. */
  readonly sourceNamespace?: string;
  readonly headers?: Readonly<Record<string, StringMatch>>;
  readonly withoutHeaders?: Readonly<Record<string, StringMatch>>;
  readonly queryParams?: Readonly<Record<string, StringMatch>>;
  readonly ignoreUriCase?: boolean;
}

/** One of the three; for a header or query parameter none means: is present. */
export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  /** RE2 syntax, full match. */
  readonly regex?: string;
}

export interface HttpRouteDestination {
  readonly destination: Destination;
  /** Relative to the other destinations; a single one gets everything. */
  readonly weight?: number;
  readonly headers?: HeaderChanges;
  readonly fallback?: { readonly target: Destination };
}

export interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number: number };
}

export interface DirectResponse {
  readonly status: number;
  readonly body?: { readonly string?: string };
}

export interface HeaderChanges {
  readonly request?: HeaderChange;
  readonly response?: HeaderChange;
}

export interface HeaderChange {
  readonly set?: Labels;
  readonly add?: Labels;
  readonly remove?: readonly string[];
}

export interface VirtualService extends Resource {
  readonly spec: VirtualServiceSpec;
}

const stringMatchFields = {
  exact: Type.Optional(Type.String()),
  prefix: Type.Optional(Type.String()),
  regex: Type.Optional(Type.Unsafe<string>({ type: "string", format: "re2" })),
};
const KINDS_OF_MATCH = ["exact", "prefix", "regex"];
const stringMatch = Type.Object(stringMatchFields, { exactlyOneOf: KINDS_OF_MATCH });
const matchOrPresence = Type.Object(stringMatchFields, { atMostOneOf: KINDS_OF_MATCH });

/** A map from names to matches, where an empty match means: is present. */
function matches(keyFormat: string): TUnsafe<Readonly<Record<string, StringMatch>>> {
  return mapOf(described<StringMatch, typeof matchOrPresence>(matchOrPresence), keyFormat);
}

const headerValues = mapOf(
  Type.Unsafe<string>({ type: "string", format: "header-value" }),
  "header-name",
);

const headerChange = Type.Object({
  set: Type.Optional(headerValues),
  add: Type.Optional(headerValues),
  remove: Type.Optional(Type.Array(text("header-name"))),
});

const headerChanges = Type.Object({
  request: Type.Optional(headerChange),
  response: Type.Optional(headerChange),
});

const destination = Type.Object({
  host: text("host"),
  subset: Type.Optional(text()),
  port: Type.Optional(Type.Object({ number: port() })),
});

const routeDestination = Type.Object({
  destination,
  weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
  headers: Type.Optional(headerChanges),
  fallback: Type.Optional(Type.Object({ target: destination, case: notHonoured() })),
});

const match = Type.Object({
  name: Type.Optional(Type.String()),
  uri: Type.Optional(stringMatch),
  method: Type.Optional(stringMatch),
  scheme: Type.Optional(stringMatch),
  port: Type.Optional(port()),
  gateways: Type.Optional(Type.Array(text("gateway-ref"))),
  sourceLabels: Type.Optional(labels()),
  authority: Type.Optional(stringMatch),
  headers: Type.Optional(matches("header-match-name")),
  withoutHeaders: Type.Optional(matches("header-match-name")),
  queryParams: Type.Optional(matches("any-name")),
  ignoreUriCase: Type.Optional(Type.Boolean()),
  statPrefix: accepted(),
  sourceNamespace: Type.Optional(text("dns-1123-label")),
});

const directResponse = Type.Object({
  status: Type.Integer({ minimum: 200, maximum: 599 }),
  body: Type.Optional(
    Type.Object(
      { string: Type.Optional(Type.String()), bytes: notHonoured() },
      { exactlyOneOf: ["string", "bytes"] },
    ),
  ),
});

const http = Type.Object(
  {
    name: Type.Optional(Type.String()),
    match: Type.Optional(Type.Array(match)),
    route: Type.Optional(Type.Array(routeDestination, { minItems: 1 })),
    directResponse: Type.Optional(directResponse),
    timeout: Type.Optional(text("duration")),
    headers: Type.Optional(headerChanges),
    ...HTTP_POLICY_FIELDS,
    delegate: Type.Optional(
      Type.Object({
        name: text("dns-subdomain"),
        namespace: Type.Optional(text("dns-1123-label")),
      }),
    ),
    ...notHonouredFields("mirror_percent"),
  },
  { exactlyOneOf: ["route", "redirect", "directResponse", "delegate"] },
);

const spec = Type.Object({
  hosts: Type.Array(text("virtual-service-host"), { default: [] }),
  gateways: Type.Optional(Type.Array(text("gateway-ref"))),
  http: Type.Optional(Type.Array(http)),
  exportTo: Type.Optional(Type.Array(text("export-to"))),
  ...notHonouredFields("tcp", "tls"),
});

export const VIRTUAL_SERVICE: KindInfo = defineKind({
  kind: "VirtualService",
  plural: "virtualservices",
  singular: "virtualservice",
  shortNames: ["vs"],
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  schema: Type.Object({
    spec: described<VirtualServiceSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("GATEWAYS", (object) => {
      const { gateways } = (object as VirtualService).spec;
      return gateways === undefined ? "" : JSON.stringify(gateways);
    }),
    column("HOSTS", (object) => JSON.stringify((object as VirtualService).spec.hosts)),
  ],
  check: checkDelegation,
});

/** Istio's rules for delegates, and for what has hosts. */
function checkDelegation(object: JsonObject, report: Report): void {
  const spec = member(object, "spec");
  const http = items(member(spec, "http"));
  if (items(member(spec, "hosts")).length > 0) return;
  if (http.length === 0) {
    const says = "needs hosts, or routes in http that others may delegate to";
    report({ code: "GL0104", path: ["spec"], says, remedy: "Write hosts, e.g. ['*']." });
  }
  if (member(spec, "gateways") !== undefined) {
    report({
      code: "GL0119",
      path: ["spec", "gateways"],
      says: "has no meaning without hosts: who delegates to it says the gateways",
      remedy: "Write hosts, or take gateways away.",
    });
  }
  http.forEach((route, index) => {
    checkDelegateRoute(route, ["spec", "http", index], report);
  });
}

function checkDelegateRoute(route: unknown, path: Path, report: Report): void {
  if (member(route, "delegate") !== undefined) {
    report({
      code: "GL0119",
      path: [...path, "delegate"],
      says: "may not stand in a VirtualService without hosts, which is a delegate itself",
      remedy: "Delegate from the VirtualService with the hosts: there is one level only.",
    });
  }
  items(member(route, "match")).forEach((match, index) => {
    for (const field of ["gateways", "sourceLabels", "sourceNamespace"]) {
      if (member(match, field) === undefined) continue;
      report({
        code: "GL0119",
        path: [...path, "match", index, field],
        says: "may not stand in a VirtualService without hosts",
        remedy: "Match on it where the route is delegated from.",
      });
    }
  });
}
