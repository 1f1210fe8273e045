import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import type { Fault } from "./fault.ts";
import { loadFiles } from "./load.ts";
import type { Resource } from "./object.ts";
import { parseManifests } from "./parse.ts";
import { validateResource } from "./validate.ts";

function readAll(text: string): { resources: Resource[]; faults: Fault[] } {
  const parsed = parseManifests(text, "t.yaml");
  const faults = [...parsed.faults];
  const resources: Resource[] = [];
  for (const { value, positionOf } of parsed.documents) {
    const validated = validateResource(value, positionOf);
    faults.push(...validated.faults);
    if (validated.resource !== null) resources.push(validated.resource);
  }
  return { resources, faults };
}

/** `line:column code path`, which is all that a case needs to tell. */
function places(text: string): string[] {
  return readAll(text).faults.map(({ position, code, path }) =>
    `${position?.line ?? 0}:${position?.column ?? 0} ${code} ${path}`.trim(),
  );
}

/** Fields are written on lines of their own, so that a case can name their place. */
const virtualService = (http: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: ["*"]
  http:
${http}`;

const service = (spec: string): string => `apiVersion: v1
kind: Service
metadata: {name: a}
spec: ${spec}`;

const deployment = (container: string, more = ""): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [${container}]${more}}`;

const wasmPlugin = (spec: string): string => `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: p}
spec: {${spec}}`;

const laneGroup = (spec: string): string => `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: g, namespace: shop}
spec: {${spec}}`;

const LANE_GROUP_REST = "entry: {gateways: [{name: gw}]}, services: [{name: a}]";

const lane = (spec: string): string => `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray}
spec: {group: g, ${spec}}`;

const LANE_REST = "selector: {matchLabels: {version: v2}}";

const asm = (
  kind: string,
  labels: string,
  spec: string,
): string => `apiVersion: istio.alibabacloud.com/v1
kind: ${kind}
metadata: {name: x, labels: {${labels}}}
spec: {${spec}}`;

const other = (apiVersion: string, kind: string, spec: string): string => `apiVersion: ${apiVersion}
kind: ${kind}
metadata: {name: x}
spec: {${spec}}`;

const cases: readonly { name: string; text: string; want: readonly string[] }[] = [
  {
    name: "two mistakes and an unknown field are three faults, each at its own place",
    text: virtualService(`  - match:
    - uri: {exact: /}
    route:
    - destination: {host: mocka, subst: s1}
      weight: "ten"
    timeout: soon`),
    want: [
      "10:34 GL0106 spec.http[0].route[0].destination.subst",
      "11:15 GL0103 spec.http[0].route[0].weight",
      "12:14 GL0113 spec.http[0].timeout",
    ],
  },
  {
    name: "ASM's fallback in a route is known",
    text: virtualService(
      "  - route: [{destination: {host: a}, fallback: {target: {host: a, subset: s}}}]",
    ),
    want: [],
  },
  {
    name: "a fallback needs a target",
    text: virtualService("  - route: [{destination: {host: a}, fallback: {}}]"),
    want: ["7:48 GL0104 spec.http[0].route[0].fallback.target"],
  },
  {
    name: "an HTTP rule needs one of route, redirect, directResponse, delegate",
    text: virtualService("  - name: empty"),
    want: ["7:5 GL0114 spec.http[0]"],
  },
  {
    name: "a rule with a route and a direct response is contradictory",
    text: virtualService(
      "  - route: [{destination: {host: a}}]\n    directResponse: {status: 200}",
    ),
    want: ["7:5 GL0114 spec.http[0]"],
  },
  {
    name: "a string match has one of exact, prefix, regex",
    text: virtualService(
      "  - match: [{uri: {exact: /, prefix: /}}]\n    route: [{destination: {host: a}}]",
    ),
    want: ["7:19 GL0114 spec.http[0].match[0].uri"],
  },
  {
    name: "an empty match of a header asks for its presence",
    text: virtualService(
      "  - match: [{headers: {x-a: {}}}]\n    route: [{destination: {host: a}}]",
    ),
    want: [],
  },
  {
    name: "a regular expression that RE2 refuses is an error",
    text: virtualService(
      '  - match: [{uri: {regex: "(?=a)"}}]\n    route: [{destination: {host: a}}]',
    ),
    want: ["7:27 GL0112 spec.http[0].match[0].uri.regex"],
  },
  {
    name: "a name that is no header name is an error at its key",
    text: virtualService(
      '  - match: [{headers: {"a b": {exact: x}}}]\n    route: [{destination: {host: a}}]',
    ),
    want: ['7:24 GL0113 spec.http[0].match[0].headers["a b"]'],
  },
  {
    name: "header operations are checked where they are set",
    text: virtualService(
      '  - route: [{destination: {host: a}, headers: {request: {set: {"a:": x, b: 1}}}}]',
    ),
    want: [
      '7:64 GL0113 spec.http[0].route[0].headers.request.set["a:"]',
      "7:76 GL0103 spec.http[0].route[0].headers.request.set.b",
    ],
  },
  {
    name: "a weight below zero is out of range",
    text: virtualService("  - route: [{destination: {host: a}, weight: -1}]"),
    want: ["7:46 GL0111 spec.http[0].route[0].weight"],
  },
  {
    name: "what is known but not honoured yet is a warning at its key",
    text: virtualService(
      "  - route: [{destination: {host: a}}]\n    mirror_percent: 1\n" +
        "    fault: {delay: {percent: 1}}",
    ),
    want: [
      "8:5 GL0107 spec.http[0].mirror_percent",
      "9:21 GL0107 spec.http[0].fault.delay.percent",
    ],
  },
  {
    name: "a required field is missed at its parent",
    text: other("networking.istio.io/v1beta1", "DestinationRule", "subsets: []"),
    want: ["4:7 GL0104 spec.host"],
  },
  { name: "a Service of one port is complete", text: service("{ports: [{port: 80}]}"), want: [] },
  {
    name: "ports are 1 to 65535, and a wrong one is said once",
    text: service("{ports: [{port: 0}]}"),
    want: ["4:23 GL0111 spec.ports[0].port"],
  },
  {
    name: "two ports of one number and protocol are one too many",
    text: service("{ports: [{port: 80, name: a}, {port: 80, name: b}]}"),
    want: ["4:37 GL0115 spec.ports[1]"],
  },
  {
    name: "one port may serve two protocols",
    text: service("{ports: [{port: 80, name: a}, {port: 80, name: b, protocol: UDP}]}"),
    want: ["4:67 GL0107 spec.ports[1].protocol"],
  },
  {
    name: "ports need names when there are two",
    text: service("{ports: [{port: 80}, {port: 81, name: b}]}"),
    want: ["4:16 GL0104 spec.ports[0]"],
  },
  {
    name: "a Service's name begins with a letter",
    text: service("{}").replace("name: a", "name: 1a"),
    want: ["3:18 GL0108 metadata.name"],
  },
  {
    name: "a label value that YAML reads as a number wants quotation marks",
    text: service("{selector: {version: 1}}"),
    want: ["4:28 GL0103 spec.selector.version"],
  },
  {
    name: "what every Deployment carries makes no noise",
    text: deployment(
      "{name: c, image: i, imagePullPolicy: Always, resources: {limits: {}}, securityContext: {}}",
      ", restartPolicy: Always, serviceAccountName: x, tolerations: []",
    ),
    want: [],
  },
  {
    name: "probes and volumes would matter: they are warnings",
    text: deployment("{name: c, readinessProbe: {}}", ", volumes: []"),
    want: [
      "8:35 GL0107 spec.template.spec.containers[0].readinessProbe",
      "8:57 GL0107 spec.template.spec.volumes",
    ],
  },
  {
    name: "a container port stands once",
    text: deployment("{name: c, ports: [{containerPort: 80}, {containerPort: 80}]}"),
    want: ["8:64 GL0115 spec.template.spec.containers[0].ports[1]"],
  },
  {
    name: "a selector must match its own template",
    text: deployment("{name: c}").replace("labels: {app: a}", "labels: {app: b}"),
    want: ["5:33 GL0118 spec.selector.matchLabels.app"],
  },
  {
    name: "a Pod needs a container",
    text: other("v1", "Pod", "containers: []"),
    want: ["4:20 GL0111 spec.containers"],
  },
  {
    name: "a Namespace is nothing but a name",
    text: "{apiVersion: v1, kind: Namespace, metadata: {name: n}}",
    want: [],
  },
  {
    name: "a Secret's data is base64",
    text: "{apiVersion: v1, kind: Secret, metadata: {name: n}, data: {a: YQ==, b: b?}}",
    want: ["1:72 GL0113 data.b"],
  },
  {
    name: "a ConfigMap's data are texts",
    text: "{apiVersion: v1, kind: ConfigMap, metadata: {name: n}, data: {a: 1}}",
    want: ["1:66 GL0103 data.a"],
  },
  {
    name: "a Gateway's protocol other than HTTP and HTTPS has no effect yet",
    text: other(
      "networking.istio.io/v1alpha3",
      "Gateway",
      "selector: {}, servers: [{port: {number: 443, protocol: HTTP2}, hosts: [ns/*.a.b]}]",
    ),
    want: ["4:63 GL0107 spec.servers[0].port.protocol"],
  },
  {
    name: "a Gateway's host has no port",
    text: other(
      "networking.istio.io/v1alpha3",
      "Gateway",
      "selector: {}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ['a:80']}]",
    ),
    want: ["4:77 GL0113 spec.servers[0].hosts[0]"],
  },
  {
    name: "a subset's name stands once",
    text: other(
      "networking.istio.io/v1",
      "DestinationRule",
      "host: a, subsets: [{name: v}, {name: v}]",
    ),
    want: ["4:38 GL0115 spec.subsets[1]"],
  },
  {
    name: "a WasmPlugin needs a url",
    text: wasmPlugin("phase: AUTHN"),
    want: ["4:7 GL0104 spec.url"],
  },
  {
    name: "an insertion phase is one of four",
    text: wasmPlugin("url: a/b:c, phase: authn, priority: 1.5"),
    want: ["4:27 GL0105 spec.phase", "4:44 GL0103 spec.priority"],
  },
  {
    name: "a plug-in's own configuration is not looked into",
    text: wasmPlugin("url: 'file:///p.wasm', pluginConfig: {rules: [{header: null}], any: thing}"),
    want: [],
  },
  {
    name: "a plug-in's scheme is one that can be fetched",
    text: wasmPlugin("url: 'ftp://a/b'"),
    want: ["4:13 GL0113 spec.url"],
  },
  {
    name: "ASM's permissive group needs a route header",
    text: asm("ASMSwimLaneGroup", "", "isPermissive: true"),
    want: ["4:7 GL0104 spec.permissiveModeConfiguration.routeHeader"],
  },
  {
    name: "ASM's lane names its group by a label",
    text: asm("ASMSwimLane", "", "labelSelector: {v: v1}"),
    want: ["3:29 GL0104 metadata.labels.swimlane-group"],
  },
  {
    name: "ASM's lane is cluster-scoped: a namespace is ignored with a warning",
    text: asm("ASMSwimLane", "swimlane-group: g", "labelSelector: {v: v1}").replace(
      "name: x,",
      "name: x, namespace: n,",
    ),
    want: ["3:32 GL0120 metadata.namespace"],
  },
  {
    name: "trace-id mode needs a trace header",
    text: laneGroup(`${LANE_GROUP_REST}, context: {mode: traceId, routeHeader: x-a}`),
    want: ["4:73 GL0104 spec.context.traceHeader"],
  },
  {
    name: "the trace header is another one than the route header",
    text: laneGroup(
      `${LANE_GROUP_REST}, context: {mode: traceId, routeHeader: X-a, traceHeader: x-A}`,
    ),
    want: ["4:120 GL0119 spec.context.traceHeader"],
  },
  {
    name: "a baggage member has a meaning in baggage mode only",
    text: laneGroup(`${LANE_GROUP_REST}, context: {routeHeader: x-a, baggageKey: k}`),
    want: ["4:104 GL0119 spec.context.baggageKey"],
  },
  {
    name: "a baseline is untagged or named, not both",
    text: laneGroup(
      `${LANE_GROUP_REST}, context: {routeHeader: x}, baseline: {lane: a, labelKeys: [b]}`,
    ),
    want: ["4:101 GL0114 spec.baseline"],
  },
  {
    name: "a lane's rule has the operator ==",
    text: lane(`${LANE_REST}, rule: {header: a, operator: "=", value: b}`),
    want: ["4:86 GL0105 spec.rule.operator"],
  },
  {
    name: "a lane without labels would hold every pod",
    text: lane("selector: {matchLabels: {}}"),
    want: ["4:42 GL0104 spec.selector.matchLabels"],
  },
  {
    name: "a field at the wrong level is unknown there",
    text: lane(`${LANE_REST}, header: a`),
    want: ["4:58 GL0106 spec.header"],
  },
  {
    name: "an unknown kind is a warning",
    text: other("v1", "Thing", ""),
    want: ["2:7 GL0101 kind"],
  },
  {
    name: "a known kind of a version that is not served is an error",
    text: other("apps/v1beta1", "Deployment", ""),
    want: ["1:13 GL0116 apiVersion"],
  },
  { name: "an object says its kind", text: "apiVersion: v1", want: ["1:1 GL0102 kind"] },
  { name: "a document is an object", text: "[1, 2]", want: ["1:1 GL0011"] },
  {
    name: "metadata is required",
    text: "{apiVersion: v1, kind: Namespace}",
    want: ["1:1 GL0104 metadata"],
  },
  {
    name: "labels, names and namespaces follow Kubernetes' rules",
    text: `apiVersion: v1
kind: ConfigMap
metadata: {name: A, namespace: a.b, labels: {'-': x, a: '-'}}`,
    want: [
      "3:18 GL0108 metadata.name",
      "3:32 GL0109 metadata.namespace",
      '3:46 GL0110 metadata.labels["-"]',
      "3:57 GL0110 metadata.labels.a",
    ],
  },
];

for (const { name, text, want } of cases) {
  test(name, () => {
    assert.deepEqual(places(text), want);
  });
}

test("a missed field says what was meant", () => {
  const misspelt = readAll(lane(`${LANE_REST}, enabld: true`)).faults[0];
  assert.equal(misspelt?.remedy, "Did you mean enabled?");
  const misplaced = readAll(lane(`${LANE_REST}, matchLabels: {}`)).faults[0];
  assert.match(misplaced?.remedy ?? "", /spec\.selector\.matchLabels: check the indentation/);
  const kind = readAll(other("apps/v1", "Deploymnet", "")).faults[0];
  assert.equal(kind?.remedy, "Did you mean kind Deployment of apps/v1?");
});

test("defaults are filled and nothing else is added", () => {
  const { resources } = readAll(
    [
      service("{ports: [{port: 80}]}"),
      lane(LANE_REST),
      laneGroup(`${LANE_GROUP_REST}, context: {routeHeader: x}`),
    ].join("\n---\n"),
  );
  assert.deepEqual(resources, [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "a", namespace: "default" },
      spec: { type: "ClusterIP", ports: [{ port: 80, protocol: "TCP", targetPort: 80 }] },
    },
    {
      apiVersion: "graylane.io/v1alpha1",
      kind: "Lane",
      metadata: { name: "gray", namespace: "default" },
      spec: {
        group: "g",
        selector: { matchLabels: { version: "v2" } },
        enabled: true,
        priority: 0,
        tag: "gray",
      },
    },
    {
      apiVersion: "graylane.io/v1alpha1",
      kind: "LaneGroup",
      metadata: { name: "g", namespace: "shop" },
      spec: {
        entry: { gateways: [{ name: "gw", namespace: "shop" }] },
        services: [{ name: "a", namespace: "shop" }],
        context: { routeHeader: "x", mode: "header" },
        baseline: {},
        fallback: "permissive",
        acceptFromClients: false,
      },
    },
  ]);
});

test("validating a validated resource changes nothing and finds no fault", () => {
  for (const { text } of cases) {
    for (const resource of readAll(text).resources) {
      const again = validateResource(resource);
      assert.deepEqual(again.resource, resource);
    }
  }
});

test("what a server writes into metadata is accepted, and the value given is not changed", () => {
  const value = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: "a",
      uid: "u",
      resourceVersion: "1",
      generation: 2,
      creationTimestamp: null,
      managedFields: [],
      ownerReferences: [],
      finalizers: [],
    },
  };
  const before = structuredClone(value);
  const { resource, faults } = validateResource(value);
  assert.deepEqual(faults, []);
  assert.deepEqual(value, before);
  assert.ok(resource !== null && !("creationTimestamp" in resource.metadata));
});

for (const example of ["asm-hash-tagging", "mse-order"]) {
  test(`the manifests of ${example} are valid and say nothing that has no effect`, async () => {
    const { resources, faults } = await loadFiles([resolve("examples", example)]);
    assert.deepEqual(faults, []);
    assert.ok(resources.length >= 5);
  });
}
