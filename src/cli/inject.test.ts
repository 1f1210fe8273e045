import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { formatFault } from "../resources/format-fault.ts";
import { injectInto } from "./inject-workload.ts";
import type { Injected } from "./inject-workload.ts";

const GIVEN = { image: "envoy:1", xds: "graylane.graylane-system.svc:15010", isJava: false };

function inject(text: string, more: Partial<typeof GIVEN> = {}): Injected {
  return injectInto(text, "app.yaml", { ...GIVEN, ...more });
}

/** With no fault, and a second time without a change. */
function injected(text: string, more: Partial<typeof GIVEN> = {}): string {
  const first = inject(text, more);
  assert.deepEqual(first.faults, []);
  const second = inject(first.text, more);
  assert.deepEqual(second.faults, []);
  assert.equal(second.text, first.text, "the second time changes nothing");
  return first.text;
}

interface Pod {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly spec: {
    readonly initContainers: readonly {
      readonly name: string;
      readonly args?: readonly string[];
    }[];
    readonly containers: readonly {
      readonly env: readonly { readonly name: string; readonly value: string }[];
    }[];
  };
}

function podsOf(text: string): Pod[] {
  const all = parseAllDocuments(text) as { toJS(): unknown }[];
  return all.flatMap((document) => {
    const value = document.toJS() as Pod & { readonly items?: Pod[] };
    return value.items ?? [value];
  });
}

const POD = `# The cart.
apiVersion: v1
kind: Pod
metadata:
  name: cart   # of the shop
  labels: {app: cart,   version: "1"}
spec:
  containers:
  - name: app
    image: 'cart:1'
    ports:
    - {containerPort: 8080}
    - containerPort: 9090   # metrics
    - {containerPort: 53, protocol: UDP}
    env:
    - name: GREETING
      value: |
        hello

  # the other one
  - name: log
    image: log
  # behind all of them
`;

test("every line of a manifest is kept, and the sidecar's stand between them", () => {
  const text = injected(POD);
  const lines = text.split("\n");
  let at = 0;
  for (const line of POD.split("\n")) {
    at = lines.indexOf(line, at);
    assert.ok(at >= 0, `kept: ${line}`);
  }
  const [pod] = podsOf(text);
  assert.deepEqual(pod?.metadata.annotations, {
    "graylane.io/inbound-ports": "15100=8080,15101=9090",
    "graylane.io/outbound-port": "15001",
  });
  assert.equal(pod.spec.initContainers.length, 1);
  for (const { env } of pod.spec.containers) {
    const proxy = env.find(({ name }) => name === "http_proxy");
    assert.equal(proxy?.value, "http://127.0.0.1:15001");
    assert.ok(env.some(({ name }) => name === "GRAYLANE_OUTBOUND"));
  }
});

test("the sidecar knows its Pod, and is ready when it knows its listeners", () => {
  const [pod] = podsOf(injected(POD));
  const bootstrap = pod?.spec.initContainers[0]?.args?.[1] ?? "";
  assert.match(bootstrap, /"role":"sidecar","pod":"\$\(POD_NAMESPACE\)\/\$\(POD_NAME\)"/);
  assert.equal(bootstrap.match(/"initial_fetch_timeout":"0s"/g)?.length, 2);
});

const POD_SPEC = { containers: [{ name: "app", image: "a" }] };
const template = { metadata: { labels: { a: "b" } }, spec: POD_SPEC };

test("a JSON text stays JSON, and a list's items are all looked at", () => {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: POD_SPEC };
  const service = { apiVersion: "v1", kind: "Service", metadata: { name: "s" } };
  const list = { apiVersion: "v1", kind: "List", items: [pod, service, pod] };
  for (const indent of [0, 2]) {
    const text = injected(JSON.stringify(list, null, indent));
    const { items } = JSON.parse(text) as { readonly items: readonly Pod[] };
    assert.deepEqual(
      items.map(({ spec }) => (spec as Pod["spec"] | undefined)?.initContainers.length),
      [1, undefined, 1],
    );
  }
});

const WORKLOADS: readonly (readonly [apiVersion: string, kind: string, spec: object])[] = [
  ["apps/v1", "Deployment", { template }],
  ["apps/v1", "StatefulSet", { template }],
  ["apps/v1", "DaemonSet", { template }],
  ["apps/v1", "ReplicaSet", { template }],
  ["batch/v1", "Job", { template }],
  ["batch/v1", "CronJob", { jobTemplate: { spec: { template } } }],
];
for (const [apiVersion, kind, spec] of WORKLOADS) {
  test(`the Pods of a ${kind} get a sidecar`, () => {
    const text = injected(JSON.stringify({ apiVersion, kind, metadata: { name: "a" }, spec }));
    assert.equal(text.match(/"name": "graylane-sidecar"/g)?.length, 1);
  });
}

const UNTOUCHED: Readonly<Record<string, string>> = {
  "a Service": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}\n",
  "a Job of another group": "apiVersion: example.com/v1\nkind: Job\nspec: {}\n",
  nothing: "# nothing\n---\n\n",
  "a Pod that says no": POD.replace(
    "labels: {",
    'annotations: { graylane.io/sidecar: "false" }\n  labels: {',
  ),
  "a Pod that says no in Istio's words": POD.replace(
    "labels: {",
    'labels: { sidecar.istio.io/inject: "false", ',
  ),
};
for (const [what, text] of Object.entries(UNTOUCHED)) {
  test(`what is to have no sidecar is left as it is: ${what}`, () => {
    assert.equal(injected(text), text);
  });
}

const SHAPES: Readonly<Record<string, readonly [from: string, to: string]>> = {
  "no metadata": [/metadata:\n.*\n.*\n/.exec(POD)?.[0] ?? "", ""],
  "annotations of its own": ["  labels:", "  annotations:\n    a: b\n  labels:"],
  "annotations without members": ["  labels:", "  annotations: {}\n  labels:"],
  "annotations that are null": ["  labels:", "  annotations: # none\n  labels:"],
  "flow annotations": ["  labels:", "  annotations: {a: b,}\n  labels:"],
  "init containers": ["  containers:", "  initContainers:\n  - name: first\n  containers:"],
  "an empty list of init containers": ["  containers:", "  initContainers: []\n  containers:"],
  "an empty environment": ["    image: log", "    image: log\n    env: []"],
  "lists that are indented": ["  - name: log\n    image: log\n", ""],
  "no newline at the end": ["    image: log\n  # behind all of them\n", "    image: log"],
  "lines that end with CR LF": ["\n", "\r\n"],
  "document marks": ["# The cart.\n", "%YAML 1.2\n---\n"],
};
for (const [what, [from, to]] of Object.entries(SHAPES)) {
  test(`a Pod gets its sidecar once: with ${what}`, () => {
    assert.ok(POD.includes(from), from);
    const text = injected(POD.replaceAll(from, to));
    const [pod] = podsOf(text);
    const names = pod?.spec.initContainers.map(({ name }) => name) ?? [];
    assert.equal(names.at(-1), "graylane-sidecar");
    assert.equal(pod?.metadata.annotations["graylane.io/outbound-port"], "15001");
    if (to === "\r\n") assert.doesNotMatch(text, /[^\r]\n/);
  });
}

test("another image or address takes the place of the one before, and nothing else changes", () => {
  const before = injected(POD);
  const after = inject(before, { image: "envoy:2" });
  assert.deepEqual(after.faults, []);
  assert.equal(after.text, before.replace("envoy:1", "envoy:2"));
});

test("a port that is gone is nobody's any more", () => {
  const text = injected(POD).replace(/ +- \{containerPort: 8080\}\n/, "");
  assert.match(injected(text), /graylane.io\/inbound-ports: "?15100=9090"?\n/);
  const none = text.replace(/    ports:\n.*\n.*\n/, "");
  assert.match(injected(none), /graylane.io\/inbound-ports: ""\n/);
});

test("an app's port is never taken for the sidecar's side of another", () => {
  const text = injected(POD.replace("9090", "15100"));
  assert.match(text, /inbound-ports: 15101=8080,15102=15100\n/);
});

test("Java apps are told by their own variable where it is asked for", () => {
  const text = injected(POD, { isJava: true });
  assert.equal(text.match(/-Dhttp\.proxyPort=15001/g)?.length, 2);
  assert.doesNotMatch(injected(POD), /JAVA/);
});

test("a variable that a container has already is kept, with a warning", () => {
  const text = POD.replace("name: GREETING", "name: http_proxy");
  const { faults, text: result } = inject(text);
  assert.deepEqual(
    faults.map((fault) => formatFault(fault).split("\n")[0]),
    [
      "app.yaml:16:7: warning GL0632: the container app keeps its own http_proxy: " +
        "its calls may not go by its sidecar (Pod default/cart)",
    ],
  );
  assert.equal(result.match(/name: http_proxy/g)?.length, 2);
});

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: shop }
spec:
  template:
    metadata: { labels: { app: cart } }
    spec:
      containers:
      - name: app
        ports:
        - containerPort: 8080
`;
const REFUSED: readonly (readonly [what: string, text: string, said: RegExp])[] = [
  [
    "the network of its node",
    DEPLOYMENT.replace("      containers:", "      hostNetwork: true\n      containers:"),
    /^app\.yaml:8:7: error GL0631: the Pod uses the network of its node.*\(Deployment shop\/cart\)/,
  ],
  [
    "a port of the sidecar's",
    DEPLOYMENT.replace("8080", "15001"),
    /^app\.yaml:11:11: error GL0631: the port 15001 is the sidecar's/,
  ],
  [
    "a container with the sidecar's name",
    DEPLOYMENT.replace("name: app", "name: graylane-sidecar"),
    /^app\.yaml:9:15: error GL0631: a container is called graylane-sidecar/,
  ],
  [
    "no containers",
    DEPLOYMENT.replace(/      containers:[^]*/, "      volumes: []\n"),
    /^app\.yaml:8:7: error GL0631: containers is missing/,
  ],
  ["no template", DEPLOYMENT.replace("template", "tmplate"), /error GL0631: template is missing/],
  [
    "a list where an object is to be",
    DEPLOYMENT.replace("metadata: { labels: { app: cart } }", "metadata: []"),
    /^app\.yaml:6:15: error GL0631: metadata must be an object/,
  ],
  [
    "a text where a list is to be",
    DEPLOYMENT.replace("        ports:", "        env: a\n        ports:"),
    /^app\.yaml:10:14: error GL0631: env must be a list/,
  ],
  [
    "an alias",
    `${DEPLOYMENT.replace("containers:", "containers: &all")}      initContainers: *all\n`,
    /error GL0631: containers is shared with other parts of the text/,
  ],
  [
    "a merged part",
    DEPLOYMENT.replace(
      "    spec:\n",
      "    spec:\n      <<: &x { initContainers: [{ name: a }] }\n",
    ),
    /error GL0631: initContainers is shared with other parts/,
  ],
];
for (const [what, text, said] of REFUSED) {
  test(`a workload is refused, with the place, and nothing is changed: ${what}`, () => {
    const { faults, text: result } = inject(`${POD}---\n${text}`);
    const lines = POD.split("\n").length;
    const own = faults.map((fault) => {
      const { position } = fault;
      assert.ok(position !== null);
      return formatFault({ ...fault, position: { ...position, line: position.line - lines } });
    });
    assert.equal(own.length, 1, own.join("\n"));
    assert.match(own[0] ?? "", said);
    assert.equal(result, `${POD}---\n${text}`);
  });
}
