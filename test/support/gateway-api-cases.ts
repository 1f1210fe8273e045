//! Cases after the Gateway API's conformance suite, each with the suite's own name. The objects say
//! the same as the suite's manifests, in fewer words.

export interface ApiRequest {
  readonly host?: string;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiExpectation {
  /** 200 unless said otherwise. */
  readonly status?: number;
  /** The number of `infra-backend-vN`. */
  readonly backend?: 1 | 2 | 3;
  /** What the backend was asked for; null: it must not have the field. */
  readonly path?: string;
  readonly asked?: Readonly<Record<string, string | null>>;
  /** Fields of the response; null: must not be there. */
  readonly answered?: Readonly<Record<string, string | null>>;
}

export interface ApiCase {
  readonly name: string;
  readonly objects: string;
  readonly exchanges: readonly (readonly [ApiRequest | string, ApiExpectation | 1 | 2 | 3 | 404])[];
}

const META = "metadata: { namespace: gateway-conformance-infra, name:";
const PARENT = "parentRefs: [{ name: same-namespace }]";

/** An HTTPRoute of the Gateway `same-namespace`; `spec` goes on after its parents. */
function route(name: string, spec: string, parent = PARENT): string {
  return `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
${META} ${name} }
spec: { ${parent}, ${spec} }
`;
}

const to = (...backends: readonly number[]): string =>
  `backendRefs: [${backends.map((n) => `{ name: infra-backend-v${n}, port: 8080 }`).join(", ")}]`;

const filter = (type: string, field: string, settings: string): string =>
  `filters: [{ type: ${type}, ${field}: ${settings} }]`;

function listeners(name: string, list: string): string {
  return `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
${META} ${name} }
spec: { gatewayClassName: graylane, listeners: [${list}] }
`;
}

const listener = (name: string, hostname: string): string =>
  `{ name: ${name}, port: 80, protocol: HTTP${hostname === "" ? "" : `, hostname: "${hostname}"`} }`;

const SAME_NAMESPACE = listeners("same-namespace", listener("http", ""));

const ISOLATION = [
  ["empty-hostname", ""],
  ["wildcard-example-com", "*.example.com"],
  ["wildcard-foo-example-com", "*.foo.example.com"],
  ["abc-foo-example-com", "abc.foo.example.com"],
] as const;
const ISOLATION_HOSTS = [
  "bar.com",
  "bar.example.com",
  "bar.foo.example.com",
  "abc.foo.example.com",
];

function isolation(part: string, hostnames: string): ApiCase {
  const name = "http-listener-isolation";
  return {
    name: `GatewayHTTPListenerIsolation${part}`,
    objects:
      listeners(name, ISOLATION.map(([id, hostname]) => listener(id, hostname)).join(", ")) +
      ISOLATION.map(([id]) =>
        route(
          `attaches-to-${id}`,
          `${hostnames} rules: [{ matches: [{ path: { value: /${id} } }], ${to(1)} }]`,
          `parentRefs: [{ name: ${name}, sectionName: ${id} }]`,
        ),
      ).join(""),
    exchanges: ISOLATION_HOSTS.flatMap((host, own) =>
      ISOLATION.map(([id], index) => [{ host, path: `/${id}` }, index === own ? 1 : 404] as const),
    ),
  };
}

const REDIRECT = (path: string, settings: string): string =>
  `{ matches: [{ path: { value: ${path} } }], ` +
  `${filter("RequestRedirect", "requestRedirect", settings)} }`;

const moved = (status: number, location: string): ApiExpectation => ({
  status,
  answered: { location },
});

export const API_CASES: readonly ApiCase[] = [
  {
    name: "HTTPRouteSimpleSameNamespace",
    objects: SAME_NAMESPACE + route("simple", `rules: [{ ${to(1)} }]`),
    exchanges: [["/", 1]],
  },
  {
    name: "HTTPRouteExactPathMatching",
    objects:
      SAME_NAMESPACE +
      route(
        "exact",
        `rules: [{ matches: [{ path: { type: Exact, value: /one } }], ${to(1)} },` +
          `{ matches: [{ path: { type: Exact, value: /two } }], ${to(2)} }]`,
      ),
    exchanges: [
      ["/one", 1],
      ["/two", 2],
      ["/", 404],
      ["/one/example", 404],
      ["/two/", 404],
      ["/Two", 404],
    ],
  },
  {
    name: "HTTPRoutePathMatchOrder",
    objects:
      SAME_NAMESPACE +
      route(
        "order",
        `rules: [{ matches: [{ path: { value: /match } }], ${to(3)} },` +
          `{ matches: [{ path: { value: /match/prefix/one } }], ${to(2)} },` +
          `{ matches: [{ path: { value: /match/prefix } }], ${to(1)} },` +
          `{ matches: [{ path: { type: Exact, value: /match/exact } }], ${to(2)} },` +
          `{ matches: [{ path: { type: Exact, value: /match/exact/one } }], ${to(1)} }]`,
      ),
    exchanges: [
      ["/match/exact/one", 1],
      ["/match/exact", 2],
      ["/match", 3],
      ["/match/prefix/one/any", 2],
      ["/match/prefix/any", 1],
      ["/match/any", 3],
      ["/matching", 404],
    ],
  },
  {
    name: "HTTPRouteMatchingAcrossRoutes",
    objects:
      SAME_NAMESPACE +
      route(
        "matching-part1",
        "hostnames: [example.com, example.net], rules: [{ matches: [{ path: { value: / } }, " +
          `{ headers: [{ name: version, value: one }] }], ${to(1)} }]`,
      ) +
      route(
        "matching-part2",
        "hostnames: [example.com], rules: [{ matches: [{ path: { value: /v2 } }, " +
          `{ headers: [{ name: version, value: two }] }], ${to(2)} }]`,
      ),
    exchanges: [
      [{ host: "example.com", path: "/" }, 1],
      [{ host: "example.com", path: "/example" }, 1],
      [{ host: "example.net", path: "/example" }, 1],
      [{ host: "example.com", path: "/example", headers: { Version: "one" } }, 1],
      [{ host: "example.com", path: "/v2" }, 2],
      [{ host: "example.net", path: "/v2" }, 1],
      [{ host: "example.com", path: "/v2/example" }, 2],
      [{ host: "example.com", path: "/", headers: { Version: "two" } }, 2],
    ],
  },
  {
    name: "HTTPRouteHeaderMatching",
    objects:
      SAME_NAMESPACE +
      route(
        "header-matching",
        `rules: [{ matches: [{ headers: [{ name: version, value: one }] }], ${to(1)} },` +
          `{ matches: [{ headers: [{ name: version, value: two }] }], ${to(2)} },` +
          "{ matches: [{ headers: [{ name: version, value: two }, { name: color, value: orange }]" +
          ` }], ${to(1)} }, { matches: [{ headers: [{ name: Color, value: blue }] }, ` +
          `{ headers: [{ name: color, value: green }] }], ${to(1)} }]`,
      ),
    exchanges: [
      [{ path: "/", headers: { Version: "one" } }, 1],
      [{ path: "/", headers: { Version: "two" } }, 2],
      [{ path: "/", headers: { Version: "two", Color: "orange" } }, 1],
      [{ path: "/", headers: { Color: "blue" } }, 1],
      [{ path: "/", headers: { Color: "green" } }, 1],
      [{ path: "/", headers: { Color: "orange" } }, 404],
      [{ path: "/", headers: { "Some-Other-Header": "one" } }, 404],
    ],
  },
  {
    name: "HTTPRouteQueryParamMatching",
    objects:
      SAME_NAMESPACE +
      route(
        "query",
        `rules: [{ matches: [{ queryParams: [{ name: animal, value: whale }] }], ${to(1)} },` +
          `{ matches: [{ queryParams: [{ name: animal, value: dolphin }] }], ${to(2)} },` +
          "{ matches: [{ queryParams: [{ name: animal, value: dolphin }, { name: color, value: " +
          `blue }] }], ${to(3)} }]`,
      ),
    exchanges: [
      ["/?animal=whale", 1],
      ["/?animal=dolphin", 2],
      ["/?animal=dolphin&color=blue", 3],
      ["/?animal=dolphin&color=yellow", 2],
      ["/?color=blue", 404],
      ["/?animal=dog", 404],
      ["/", 404],
    ],
  },
  {
    name: "HTTPRouteMethodMatching",
    objects:
      SAME_NAMESPACE +
      route(
        "method",
        `rules: [{ matches: [{ method: POST }], ${to(1)} }, { matches: [{ method: GET }], ` +
          `${to(2)} }, { matches: [{ path: { value: /path1 }, method: GET }], ${to(1)} },` +
          `{ matches: [{ headers: [{ name: version, value: one }], method: PUT }], ${to(2)} },` +
          `{ matches: [{ path: { value: /path5 } }], ${to(1)} }, ` +
          `{ matches: [{ path: { value: /path5 }, method: PATCH }], ${to(2)} }]`,
      ),
    exchanges: [
      [{ method: "POST", path: "/" }, 1],
      [{ method: "GET", path: "/" }, 2],
      [{ method: "HEAD", path: "/" }, 404],
      [{ method: "GET", path: "/path1" }, 1],
      [{ method: "PUT", path: "/", headers: { version: "one" } }, 2],
      [{ method: "PATCH", path: "/path5" }, 2],
      [{ method: "DELETE", path: "/path5" }, 1],
    ],
  },
  {
    name: "HTTPRouteHostnameIntersection",
    objects:
      listeners(
        "same-namespace",
        [
          listener("listener-1", "very.specific.com"),
          listener("listener-2", "*.wildcard.io"),
          listener("listener-3", "*.anotherwildcard.io"),
        ].join(", "),
      ) +
      route(
        "s1",
        'hostnames: [non.matching.com, "*.nonmatchingwildcard.io", very.specific.com], ' +
          `rules: [{ matches: [{ path: { value: /s1 } }], ${to(1)} }]`,
      ) +
      route(
        "s2",
        "hostnames: [non.matching.com, wildcard.io, foo.wildcard.io, foo.bar.wildcard.io], " +
          `rules: [{ matches: [{ path: { value: /s2 } }], ${to(2)} }]`,
      ) +
      route(
        "s3",
        'hostnames: [non.matching.com, "*.specific.com"], ' +
          `rules: [{ matches: [{ path: { value: /s3 } }], ${to(3)} }]`,
      ) +
      route(
        "s4",
        'hostnames: ["*.anotherwildcard.io"], ' +
          `rules: [{ matches: [{ path: { value: /s4 } }], ${to(1)} }]`,
      ),
    exchanges: [
      [{ host: "very.specific.com", path: "/s1" }, 1],
      [{ host: "non.matching.com", path: "/s1" }, 404],
      [{ host: "foo.nonmatchingwildcard.io", path: "/s1" }, 404],
      [{ host: "foo.wildcard.io", path: "/s2" }, 2],
      [{ host: "foo.bar.wildcard.io", path: "/s2" }, 2],
      [{ host: "wildcard.io", path: "/s2" }, 404],
      [{ host: "very.specific.com", path: "/s3" }, 3],
      [{ host: "foo.specific.com", path: "/s3" }, 404],
      [{ host: "one.anotherwildcard.io", path: "/s4" }, 1],
      [{ host: "one.two.anotherwildcard.io", path: "/s4" }, 1],
      [{ host: "anotherwildcard.io", path: "/s4" }, 404],
    ],
  },
  isolation("", ""),
  isolation(
    ", with hostname intersection",
    'hostnames: [bar.com, "*.example.com", "*.foo.example.com", abc.foo.example.com],',
  ),
  {
    name: "HTTPRouteRequestHeaderModifier",
    objects:
      SAME_NAMESPACE +
      route(
        "modifier",
        `rules: [{ ${filter(
          "RequestHeaderModifier",
          "requestHeaderModifier",
          "{ set: [{ name: X-Header-Set, value: set-overwrites-values }], add: [{ name: " +
            "X-Header-Add, value: add-appends-values }], remove: [X-Header-Remove] }",
        )}, ${to(1)} }]`,
      ),
    exchanges: [
      [
        {
          path: "/",
          headers: { "X-Header-Set": "some", "X-Header-Add": "some", "X-Header-Remove": "some" },
        },
        {
          backend: 1,
          asked: {
            "x-header-set": "set-overwrites-values",
            "x-header-add": "some, add-appends-values",
            "x-header-remove": null,
          },
        },
      ],
    ],
  },
  {
    name: "HTTPRouteResponseHeaderModifier",
    objects:
      SAME_NAMESPACE +
      route(
        "modifier",
        `rules: [{ ${filter(
          "ResponseHeaderModifier",
          "responseHeaderModifier",
          "{ set: [{ name: X-Backend, value: hidden }], add: [{ name: X-More, value: one }], " +
            "remove: [X-Removed] }",
        )}, ${to(1)} }]`,
      ),
    exchanges: [
      [
        "/",
        { backend: 1, answered: { "x-backend": "hidden", "x-more": "one", "x-removed": null } },
      ],
    ],
  },
  {
    name: "HTTPRouteBackendRequestHeaderModifier",
    objects:
      SAME_NAMESPACE +
      route(
        "modifier",
        "rules: [{ backendRefs: [{ name: infra-backend-v2, port: 8080, filters: [{ type: " +
          "RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Own, value: v2 }] } }] " +
          "}] }]",
      ),
    exchanges: [["/", { backend: 2, asked: { "x-own": "v2" } }]],
  },
  {
    name: "HTTPRouteRewritePath",
    objects:
      SAME_NAMESPACE +
      route(
        "rewrite-path",
        `rules: [{ matches: [{ path: { value: /prefix/one } }], ${filter(
          "URLRewrite",
          "urlRewrite",
          "{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /one } }",
        )}, ${to(1)} }, { matches: [{ path: { value: /full/one } }], ${filter(
          "URLRewrite",
          "urlRewrite",
          "{ path: { type: ReplaceFullPath, replaceFullPath: /one } }",
        )}, ${to(1)} }, { matches: [{ path: { value: /strip/ } }], ${filter(
          "URLRewrite",
          "urlRewrite",
          "{ path: { type: ReplacePrefixMatch, replacePrefixMatch: / } }",
        )}, ${to(1)} }]`,
      ),
    exchanges: [
      ["/prefix/one/two", { backend: 1, path: "/one/two" }],
      ["/prefix/one", { backend: 1, path: "/one" }],
      ["/prefix/one/", { backend: 1, path: "/one/" }],
      ["/prefix/one?q=1", { backend: 1, path: "/one?q=1" }],
      ["/full/one/two", { backend: 1, path: "/one" }],
      ["/strip/bar", { backend: 1, path: "/bar" }],
      ["/strip", { backend: 1, path: "/" }],
      ["/strip/", { backend: 1, path: "/" }],
    ],
  },
  {
    name: "HTTPRouteRewriteHost",
    objects:
      SAME_NAMESPACE +
      route(
        "rewrite-host",
        `rules: [{ ${filter("URLRewrite", "urlRewrite", "{ hostname: one.example.org }")}, ` +
          `${to(1)} }]`,
      ),
    exchanges: [
      [
        { host: "rewrite.example", path: "/one" },
        { backend: 1, asked: { host: "one.example.org" } },
      ],
    ],
  },
  {
    name: "HTTPRouteRedirectPortAndScheme",
    objects:
      SAME_NAMESPACE +
      route(
        "redirects",
        `rules: [${[
          REDIRECT("/scheme-nil-and-port-nil", "{ hostname: example.org }"),
          REDIRECT("/scheme-nil-and-port-80", "{ hostname: example.org, port: 80 }"),
          REDIRECT("/scheme-nil-and-port-8080", "{ hostname: example.org, port: 8080 }"),
          REDIRECT("/scheme-https-and-port-nil", "{ hostname: example.org, scheme: https }"),
          REDIRECT(
            "/scheme-https-and-port-443",
            "{ hostname: example.org, scheme: https, port: 443 }",
          ),
          REDIRECT(
            "/scheme-https-and-port-8443",
            "{ hostname: example.org, scheme: https, port: 8443, statusCode: 308 }",
          ),
        ].join(", ")}]`,
      ),
    exchanges: [
      ["/scheme-nil-and-port-nil", moved(302, "http://example.org/scheme-nil-and-port-nil")],
      ["/scheme-nil-and-port-80", moved(302, "http://example.org/scheme-nil-and-port-80")],
      ["/scheme-nil-and-port-8080", moved(302, "http://example.org:8080/scheme-nil-and-port-8080")],
      ["/scheme-https-and-port-nil", moved(302, "https://example.org/scheme-https-and-port-nil")],
      ["/scheme-https-and-port-443", moved(302, "https://example.org/scheme-https-and-port-443")],
      [
        "/scheme-https-and-port-8443",
        moved(308, "https://example.org:8443/scheme-https-and-port-8443"),
      ],
    ],
  },
  {
    name: "HTTPRouteRedirectPath",
    objects:
      SAME_NAMESPACE +
      route(
        "redirect-path",
        `rules: [${[
          REDIRECT(
            "/original-prefix",
            "{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix } }",
          ),
          REDIRECT("/full", "{ path: { type: ReplaceFullPath, replaceFullPath: /new } }"),
        ].join(", ")}]`,
      ),
    exchanges: [
      [
        { host: "a.example", path: "/original-prefix/lemon" },
        moved(302, "http://a.example/replacement-prefix/lemon"),
      ],
      [{ host: "a.example", path: "/full/path/original" }, moved(302, "http://a.example/new")],
    ],
  },
  {
    name: "HTTPRouteAllBackendsWeightZero",
    objects:
      SAME_NAMESPACE +
      route(
        "zero",
        "rules: [{ backendRefs: [{ name: infra-backend-v1, port: 8080, weight: 0 }] }]",
      ),
    exchanges: [["/", { status: 500 }]],
  },
  {
    name: "HTTPRouteInvalidNonExistentBackendRef",
    objects:
      SAME_NAMESPACE +
      route("gone", "rules: [{ backendRefs: [{ name: nonexistent, port: 8080 }] }]"),
    exchanges: [["/", { status: 500 }]],
  },
  {
    name: "HTTPRouteInvalidBackendRefUnknownKind",
    objects:
      SAME_NAMESPACE +
      route(
        "unknown-kind",
        "rules: [{ backendRefs: [{ group: unknownkind.example.com, kind: NonExistent, name: x }] }]",
      ),
    exchanges: [["/", { status: 500 }]],
  },
];
