//! Statuses of the Gateway API's objects: cases of its conformance suite, by the suite's names.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { compile } from "../../src/compile/compile.ts";
import { nextApiStatus } from "../../src/controlplane/publish/gateway-api-status.ts";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import { loadFiles } from "../../src/resources/load.ts";

const GATEWAY = "Gateway.gateway.networking.k8s.io infra/edge";

const CORE: ReadonlySet<string> = new Set(["Secret", "Service", "Namespace"]);

function document(kind: string, place: string, rest: string, version = "v1"): string {
  return `
---
apiVersion: ${CORE.has(kind) ? "" : "gateway.networking.k8s.io/"}${version}
kind: ${kind}
metadata: { ${place} }
${rest}
`;
}

const gateway = (listeners: string): string =>
  document(
    "Gateway",
    "name: edge, namespace: infra",
    `spec: { gatewayClassName: graylane, listeners: [${listeners}] }`,
  );

const HTTP = "{ name: http, port: 80, protocol: HTTP }";
const HTTPS = (certificate: string): string =>
  `{ name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: [${certificate}] } }`;

const route = (spec: string, namespace = "infra", kind = "HTTPRoute"): string =>
  document(kind, `name: route, namespace: ${namespace}`, `spec: { ${spec} }`);

const PARENT = "parentRefs: [{ name: edge, namespace: infra }]";
const BACKEND = "rules: [{ backendRefs: [{ name: web, port: 8080 }] }]";

const SERVICE = document(
  "Service",
  "name: web, namespace: infra",
  "spec: { selector: { app: web }, ports: [{ port: 8080 }] }",
);

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const secret = (namespace: string): string =>
  document(
    "Secret",
    `name: cert, namespace: ${namespace}`,
    `type: kubernetes.io/tls
data: { tls.crt: ${base64(A_TEST.certificate)}, tls.key: ${base64(A_TEST.privateKey)} }`,
  );

const grant = (to: string, namespace: string, from = "Gateway"): string =>
  document(
    "ReferenceGrant",
    `name: grant, namespace: ${namespace}`,
    `spec: { from: [{ group: gateway.networking.k8s.io, kind: ${from}, namespace: infra }], ` +
      `to: [{ group: "", kind: ${to} }] }`,
    "v1beta1",
  );

interface StatusCase {
  readonly name: string;
  readonly objects: string;
  /** By `refText`: conditions as `Type=Status/Reason`, in order, of the named entry. */
  readonly wants: Readonly<Record<string, string>>;
}

const ATTACHED = "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";
const SERVED =
  "Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True/ResolvedRefs " +
  "Conflicted=False/NoConflicts";
const noCertificate = (reason: string): string =>
  `Accepted=True/Accepted Programmed=False/Invalid ResolvedRefs=False/${reason} ` +
  "Conflicted=False/NoConflicts";

const CASES: readonly StatusCase[] = [
  {
    name: "GatewayClass Accepted",
    objects: document(
      "GatewayClass",
      "name: graylane",
      "spec: { controllerName: graylane.io/gateway-controller }",
    ),
    wants: { "GatewayClass /graylane": "Accepted=True/Accepted" },
  },
  {
    name: "GatewayWithAttachedRoutes",
    objects: gateway(HTTP) + route(`${PARENT}, ${BACKEND}`) + SERVICE,
    wants: {
      [GATEWAY]: "Accepted=True/Accepted Programmed=True/Programmed",
      [`${GATEWAY} http 1`]: SERVED,
      "HTTPRoute infra/route parent": ATTACHED,
    },
  },
  {
    name: "GatewayInvalidRouteKind",
    objects: gateway(
      "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { kinds: " +
        "[{ kind: InvalidRoute }, { kind: HTTPRoute }] } }",
    ),
    wants: {
      [`${GATEWAY} http 0`]:
        "Accepted=True/Accepted Programmed=True/Programmed " +
        "ResolvedRefs=False/InvalidRouteKinds Conflicted=False/NoConflicts",
    },
  },
  {
    name: "GatewayInvalidTLSConfiguration: no such Secret",
    objects: gateway(`${HTTP}, ${HTTPS("{ name: nonexistent }")}`),
    wants: {
      [GATEWAY]: "Accepted=True/ListenersNotValid Programmed=True/Programmed",
      [`${GATEWAY} https 0`]: noCertificate("InvalidCertificateRef"),
    },
  },
  {
    name: "GatewaySecretMissingReferenceGrant",
    objects: gateway(HTTPS("{ name: cert, namespace: certs }")) + secret("certs"),
    wants: {
      [GATEWAY]: "Accepted=False/ListenersNotValid Programmed=False/Invalid",
      [`${GATEWAY} https 0`]: noCertificate("RefNotPermitted"),
    },
  },
  {
    name: "GatewaySecretInvalidReferenceGrant",
    objects:
      gateway(HTTPS("{ name: cert, namespace: certs }")) +
      secret("certs") +
      grant("Secret", "certs", "HTTPRoute"),
    wants: { [`${GATEWAY} https 0`]: noCertificate("RefNotPermitted") },
  },
  {
    name: "GatewaySecretReferenceGrantAllInNamespace",
    objects:
      gateway(HTTPS("{ name: cert, namespace: certs }")) +
      secret("certs") +
      grant("Secret", "certs"),
    wants: { [`${GATEWAY} https 0`]: SERVED },
  },
  {
    name: "Listeners of one port in clear and in TLS conflict",
    objects:
      gateway(`{ name: http, port: 443, protocol: HTTP }, ${HTTPS("{ name: cert }")}`) +
      secret("infra"),
    wants: {
      [`${GATEWAY} http 0`]:
        "Accepted=False/ProtocolConflict Programmed=False/Invalid " +
        "ResolvedRefs=True/ResolvedRefs Conflicted=True/ProtocolConflict",
    },
  },
  {
    name: "GatewayInvalidListenersUnsupportedProtocol",
    objects: gateway("{ name: raw, port: 9000, protocol: UDP }"),
    wants: {
      [`${GATEWAY} raw 0`]:
        "Accepted=False/UnsupportedProtocol Programmed=False/Invalid " +
        "ResolvedRefs=True/ResolvedRefs Conflicted=False/NoConflicts",
    },
  },
  {
    name: "HTTPRouteInvalidCrossNamespaceParentRef",
    objects: gateway(HTTP) + route(`${PARENT}, ${BACKEND}`, "other"),
    wants: {
      "HTTPRoute other/route parent":
        "Accepted=False/NotAllowedByListeners ResolvedRefs=False/BackendNotFound",
    },
  },
  {
    name: "HTTPRouteInvalidParentRefNotMatchingSectionName",
    objects:
      gateway(HTTP) + SERVICE + route(`parentRefs: [{ name: edge, sectionName: x }], ${BACKEND}`),
    wants: {
      "HTTPRoute infra/route parent":
        "Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs",
    },
  },
  {
    name: "HTTPRouteInvalidParentRefNotMatchingListenerPort",
    objects: gateway(HTTP) + SERVICE + route(`parentRefs: [{ name: edge, port: 81 }], ${BACKEND}`),
    wants: {
      "HTTPRoute infra/route parent":
        "Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs",
    },
  },
  {
    name: "HTTPRouteHostnameIntersection: no intersecting hosts",
    objects:
      gateway('{ name: http, port: 80, protocol: HTTP, hostname: "*.wildcard.io" }') +
      SERVICE +
      route(`${PARENT}, hostnames: [specific.but.wrong.com, wildcard.io], ${BACKEND}`),
    wants: {
      "HTTPRoute infra/route parent":
        "Accepted=False/NoMatchingListenerHostname ResolvedRefs=True/ResolvedRefs",
    },
  },
  {
    name: "HTTPRouteDisallowedKind",
    objects:
      gateway(
        "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { kinds: [{ kind: GRPCRoute }] } }",
      ) +
      SERVICE +
      route(`${PARENT}, ${BACKEND}`),
    wants: {
      "HTTPRoute infra/route parent":
        "Accepted=False/NotAllowedByListeners ResolvedRefs=True/ResolvedRefs",
    },
  },
  {
    name: "HTTPRouteInvalidCrossNamespaceBackendRef",
    objects:
      gateway(HTTP) +
      SERVICE.replace("namespace: infra", "namespace: other") +
      route(`${PARENT}, rules: [{ backendRefs: [{ name: web, namespace: other, port: 8080 }] }]`),
    wants: {
      "HTTPRoute infra/route parent": "Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted",
    },
  },
  {
    name: "HTTPRouteReferenceGrant",
    objects:
      gateway(HTTP) +
      SERVICE.replace("namespace: infra", "namespace: other") +
      grant("Service", "other", "HTTPRoute") +
      route(`${PARENT}, rules: [{ backendRefs: [{ name: web, namespace: other, port: 8080 }] }]`),
    wants: { "HTTPRoute infra/route parent": ATTACHED },
  },
  {
    name: "HTTPRouteInvalidBackendRefUnknownKind",
    objects:
      gateway(HTTP) +
      route(`${PARENT}, rules: [{ backendRefs: [{ group: a.example, kind: Thing, name: x }] }]`),
    wants: {
      "HTTPRoute infra/route parent": "Accepted=True/Accepted ResolvedRefs=False/InvalidKind",
    },
  },
  {
    name: "A rule that is not supported is left out, and the others serve",
    objects:
      gateway(HTTP) +
      SERVICE +
      route(
        `${PARENT}, rules: [{ sessionPersistence: {}, backendRefs: [{ name: web, port: 8080 }] },` +
          " { backendRefs: [{ name: web, port: 8080 }] }]",
      ),
    wants: {
      "HTTPRoute infra/route parent": `${ATTACHED} PartiallyInvalid=True/UnsupportedValue`,
    },
  },
  {
    name: "Of an HTTPRoute and a GRPCRoute with one hostname the first has it",
    objects:
      gateway(HTTP) +
      SERVICE +
      route(`${PARENT}, ${BACKEND}`) +
      document(
        "GRPCRoute",
        "name: a-call, namespace: infra",
        `spec: { ${PARENT}, hostnames: [grpc.example.com], ${BACKEND} }`,
      ),
    wants: {
      "HTTPRoute infra/route parent":
        "Accepted=False/HostnameConflict ResolvedRefs=True/ResolvedRefs",
      "GRPCRoute infra/a-call parent": ATTACHED,
    },
  },
  {
    name: "Namespaces are selected by their labels",
    objects:
      gateway(
        "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector, " +
          "selector: { matchExpressions: [{ key: team, operator: In, values: [a, b] }] } } } }",
      ) +
      document("Namespace", "name: shop, labels: { team: b }", "") +
      SERVICE.replace("namespace: infra", "namespace: shop") +
      route(`${PARENT}, ${BACKEND}`, "shop"),
    wants: { "HTTPRoute shop/route parent": ATTACHED, [`${GATEWAY} http 1`]: SERVED },
  },
];

interface Status {
  readonly conditions?: readonly { type: string; status: string; reason: string }[];
  readonly listeners?: readonly (Status & { name: string; attachedRoutes: number })[];
  readonly parents?: readonly Status[];
}

const told = ({ conditions = [] }: Status): string =>
  conditions.map(({ type, status, reason }) => `${type}=${status}/${reason}`).join(" ");

for (const { name, objects, wants } of CASES) {
  test(name, async () => {
    const stdin = Readable.from([objects]);
    const { resources, faults } = await loadFiles(["-"], { stdin });
    assert.deepEqual(
      faults.filter(({ severity }) => severity === "error"),
      [],
    );
    const all = resources.map(({ resource }) => resource);
    const { gatewayApi } = compile({ resources: all, modules: new Map() });
    for (const [key, wanted] of Object.entries(wants)) {
      const [kind = "", place = "", part, count] = key.split(" ");
      const status = (gatewayApi.get(`${kind} ${place}`) ?? {}) as Status;
      if (part === undefined) assert.equal(told(status), wanted, key);
      else if (part === "parent") assert.equal(told(status.parents?.[0] ?? {}), wanted, key);
      else {
        const listener = status.listeners?.find((one) => one.name === part);
        assert.equal(told(listener ?? {}), wanted, key);
        assert.equal(listener?.attachedRoutes, Number(count), key);
      }
    }
  });
}

test("a status keeps its times while it stays as it is, and what others have written", () => {
  const wanted = {
    parents: [
      {
        parentRef: { name: "edge" },
        controllerName: "graylane.io/gateway-controller",
        conditions: [{ type: "Accepted", status: "True", reason: "Accepted", message: "" }],
      },
    ],
  };
  const foreign = { parentRef: { name: "edge" }, controllerName: "example.net/other" };
  const resource = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "route", namespace: "infra", generation: 3 },
    status: { parents: [foreign] },
  };
  const first = nextApiStatus(resource, wanted, 0);
  const again = { ...resource, status: first };
  assert.equal(nextApiStatus(again, wanted, 60_000), null);
  const parents = (first as { parents: Record<string, unknown>[] }).parents;
  assert.deepEqual(parents[1], foreign);
  const [condition] = parents[0]?.["conditions"] as Record<string, unknown>[];
  assert.equal(condition?.["observedGeneration"], 3);
  assert.equal(condition["lastTransitionTime"], "1970-01-01T00:00:00Z");
});
