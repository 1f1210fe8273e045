//! Mistakes that people make, each in one small file: which finding names it, and where.
//!
//! `istio`: the messages of `istioctl analyze` for the same mistake (its published list).

import type { Severity } from "../../src/resources/fault.ts";

export interface Mistake {
  readonly name: string;
  readonly istio: readonly string[];
  readonly code: string;
  readonly severity: Severity;
  /** What stands at the place of the finding. */
  readonly at: string;
  /** Objects behind those of `WHOLE`. */
  readonly yaml: string;
}

/** A service with two versions, a Gateway: with it alone nothing is found. */
export const WHOLE = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v1}
spec:
  selector: {matchLabels: {app: web, version: v1}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec: {containers: [{name: web, image: example/web}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}]
`;

function virtualService(http: string, more = "", hosts = "[a.example.com]"): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: ${hosts}
  gateways: [edge]
  ${more}http: ${http}
`;
}

const TO_WEB = "route: [{destination: {host: web}}]";
const GROUP = `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop}
spec:
  entry: {gateways: [{name: edge}]}
  services: [{name: web}]
  baseline: {}
  context: {mode: header, routeHeader: x-lane}
  ratio: {key: {header: userId}, salt: shop}
`;

function lane(name: string, spec: string, labels = `{lane: ${name}}`): string {
  const start = `apiVersion: graylane.io/v1alpha1\nkind: Lane\nmetadata: {name: ${name}}\nspec:\n`;
  return `\n---\n${start}  group: shop\n  selector: {matchLabels: ${labels}}\n  ${spec}\n`;
}

const CANARY = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-canary}
spec:
  selector: {matchLabels: {app: web, lane: canary}}
  template:
    metadata: {labels: {app: web, lane: canary}}
    spec: {containers: [{name: web, image: example/web}]}`;
const JACK = 'rule: {all: [{header: user, operator: "==", value: jack}]}';
const TLS = "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls:";

function gateway(server: string, name = "other"): string {
  const head = "apiVersion: networking.istio.io/v1\nkind: Gateway";
  return `\n${head}\nmetadata: {name: ${name}}\nspec:\n  selector: {istio: edge}\n  servers: [${server}]\n`;
}

/** What `istioctl analyze` finds too, or what it means here. */
const OF_ISTIO: readonly Mistake[] = [
  {
    name: "a route to a service that does not exist",
    ...{ istio: ["IST0101"], code: "GL0201", severity: "error", at: "wob" },
    yaml: virtualService("[{route: [{destination: {host: wob}}]}]"),
  },
  {
    name: "a route to a subset that does not exist",
    ...{ istio: ["IST0101"], code: "GL0203", severity: "error", at: "v9" },
    yaml: virtualService("[{route: [{destination: {host: web, subset: v9}}]}]"),
  },
  {
    name: "a gateway that does not exist",
    ...{ istio: ["IST0101"], code: "GL0204", severity: "error", at: "egde" },
    yaml: virtualService(`[{${TO_WEB}}]`).replace("[edge]", "[egde]"),
  },
  {
    name: "a DestinationRule for a host that does not exist",
    ...{ istio: ["IST0101"], code: "GL0210", severity: "warning", at: "wob" },
    yaml: "\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: wob}\n",
  },
  {
    name: "a Secret of a TLS server that does not exist",
    ...{ istio: ["IST0101"], code: "GL0241", severity: "error", at: "nobody" },
    yaml: gateway(`${TLS} {mode: SIMPLE, credentialName: nobody}}`),
  },
  {
    name: "a Secret that is no certificate",
    ...{ istio: ["IST0161"], code: "GL0242", severity: "error", at: "cert" },
    yaml:
      "\napiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: default}\ntype: kubernetes.io/tls\n" +
      "stringData: {tls.crt: x, tls.key: y}\n---" +
      gateway(`${TLS} {mode: SIMPLE, credentialName: cert}}`),
  },
  {
    name: "a value of the wrong type",
    ...{ istio: ["IST0106"], code: "GL0113", severity: "error", at: "soon" },
    yaml: virtualService(`[{timeout: soon, ${TO_WEB}}]`),
  },
  {
    name: "a field that nobody knows",
    ...{ istio: ["IST0106"], code: "GL0106", severity: "warning", at: "retrys" },
    yaml: virtualService(`[{retrys: {attempts: 2}, ${TO_WEB}}]`),
  },
  {
    name: "a kind that is not served here",
    ...{
      istio: ["IST0110", "IST0111", "IST0151"],
      code: "GL0101",
      severity: "warning",
      at: "Sidecar",
    },
    yaml: "\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {}\n",
  },
  {
    name: "two VirtualServices for one host",
    ...{ istio: ["IST0109"], code: "GL0206", severity: "warning", at: "[a.example.com]" },
    yaml: `${virtualService(`[{${TO_WEB}}]`)}---${virtualService(`[{${TO_WEB}}]`).replace("{name: a}", "{name: b}")}`,
  },
  {
    name: "a service with two ports, and no port in the route",
    ...{ istio: ["IST0112"], code: "GL0202", severity: "error", at: "{host: two" },
    yaml:
      "\napiVersion: v1\nkind: Service\nmetadata: {name: two}\n" +
      "spec: {selector: {app: web}, ports: [{name: a, port: 1}, {name: b, port: 2}]}\n---" +
      virtualService("[{route: [{destination: {host: two}}]}]"),
  },
  {
    name: "a regular expression that does not compile",
    ...{ istio: ["IST0122"], code: "GL0112", severity: "error", at: '"("' },
    yaml: virtualService(`[{match: [{uri: {regex: "("}}], ${TO_WEB}}]`),
  },
  {
    name: "a Service that selects nothing",
    ...{ istio: ["IST0127"], code: "GL0215", severity: "info", at: "{app: nobody}" },
    yaml: "\napiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {selector: {app: nobody}, ports: [{port: 1}]}\n",
  },
  {
    name: "certificates of an upstream that nobody checks",
    ...{ istio: ["IST0128", "IST0129"], code: "GL0246", severity: "error", at: "true" },
    yaml:
      "\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: web\n" +
      "  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /ca.pem, insecureSkipVerify: true}}\n",
  },
  {
    name: "a route behind one that takes everything",
    ...{ istio: ["IST0130", "IST0131"], code: "GL0216", severity: "warning", at: "{match: [{uri" },
    yaml: virtualService(`[{${TO_WEB}}, {match: [{uri: {prefix: /x}}], ${TO_WEB}}]`),
  },
  {
    name: "a host that the Gateway does not admit",
    ...{ istio: ["IST0132"], code: "GL0208", severity: "warning", at: "[b.test]" },
    yaml: virtualService(`[{${TO_WEB}}]`, "", "[b.test]"),
  },
  {
    name: "a field without effect here",
    ...{ istio: ["IST0133"], code: "GL0107", severity: "warning", at: "mirror_percent" },
    yaml: virtualService(`[{${TO_WEB}, mirror_percent: 1}]`),
  },
  {
    name: "routes for the mesh whose host is no service",
    ...{ istio: ["IST0140"], code: "GL0207", severity: "warning", at: "a.example.com" },
    yaml: virtualService(`[{${TO_WEB}}]`).replace("[edge]", "[edge, mesh]"),
  },
  {
    name: "two Gateways of different selectors for one port",
    ...{ istio: ["IST0145"], code: "GL0217", severity: "error", at: "80," },
    yaml: gateway("{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}").replace(
      "{istio: edge}",
      "{istio: other}",
    ),
  },
  {
    name: "a version of a kind that is not served",
    ...{ istio: ["IST0156"], code: "GL0116", severity: "error", at: "apps/v1beta9" },
    yaml: "\napiVersion: apps/v1beta9\nkind: Deployment\nmetadata: {name: a}\n",
  },
];

/** What only a tool that knows lanes and plug-ins can find. */
const OURS: readonly Mistake[] = [
  {
    name: "a lane without pods",
    ...{ istio: [], code: "GL0309", severity: "info", at: "{lane:" },
    yaml: GROUP + lane("canary", JACK),
  },
  {
    name: "a lane of a group that does not exist",
    ...{ istio: [], code: "GL0301", severity: "error", at: "shop" },
    yaml: lane("canary", JACK).replace("\n---", ""),
  },
  {
    name: "two lanes of the same pods",
    ...{ istio: [], code: "GL0306", severity: "warning", at: "{lane:" },
    yaml: GROUP + CANARY + lane("canary", JACK) + lane("other", "tag: o", "{lane: canary}"),
  },
  {
    name: "two lanes of one rule",
    ...{ istio: [], code: "GL0324", severity: "warning", at: "{all" },
    yaml: GROUP + CANARY + lane("canary", JACK) + lane("other", JACK),
  },
  {
    name: "a lane behind one that takes all whom its rule is meant for",
    ...{ istio: [], code: "GL0338", severity: "warning", at: "{header" },
    yaml:
      GROUP +
      CANARY +
      lane("canary", "rule: {header: user, operator: prefix, value: ja}") +
      lane("other", 'rule: {header: user, operator: "==", value: jack}'),
  },
  {
    name: "a rule that no request can meet",
    ...{ istio: [], code: "GL0337", severity: "error", at: "{all" },
    yaml:
      GROUP +
      CANARY +
      lane(
        "canary",
        'rule: {all: [{header: a, operator: "==", value: b}, {header: a, operator: "==", value: c}]}',
      ),
  },
  {
    name: "shares of more than 100 %",
    ...{ istio: [], code: "GL0340", severity: "error", at: "{key" },
    yaml:
      GROUP +
      CANARY +
      lane("canary", "ratio: {percent: 60%}") +
      lane("other", "ratio: {percent: 50%}"),
  },
  {
    name: "a cycle of parents",
    ...{ istio: [], code: "GL0322", severity: "error", at: "other" },
    yaml: GROUP + CANARY + lane("canary", "parent: other") + lane("other", "parent: canary"),
  },
  {
    name: "a plug-in that cannot be read",
    ...{ istio: [], code: "GL0402", severity: "error", at: "file:" },
    yaml:
      "\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: p}\n" +
      "spec: {selector: {matchLabels: {istio: edge}}, url: file:///nowhere.wasm}\n",
  },
  {
    name: "a plug-in that selects no gateway",
    ...{ istio: [], code: "GL0421", severity: "warning", at: "{istio" },
    yaml:
      "\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: p}\n" +
      "spec: {selector: {matchLabels: {istio: egde}}, url: file://plugins/hash-tagging/hash-tagging.wasm}\n",
  },
];

export const MISTAKES: readonly Mistake[] = [...OF_ISTIO, ...OURS];
