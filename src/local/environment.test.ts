import assert from "node:assert/strict";
import { test } from "node:test";
import { buildEnvironment } from "./environment.ts";
import type { Environment, EnvironmentContext } from "./environment.ts";
import type { LaunchFault } from "./command.ts";
import { readDeployment, readEnv } from "./manifest.ts";
import type { Container } from "./manifest.ts";

const context: EnvironmentContext = {
  pod: {
    namespace: "default",
    name: "web-1",
    uid: "u",
    labels: { "alicloud.service.tag": "gray" },
    annotations: {},
  },
  address: {
    podIp: "127.10.0.5",
    inbound: [
      { containerPort: 8000, listenPort: 8000, appAddress: "127.20.0.5", appPort: 20_001 },
      { containerPort: 9000, listenPort: 9000, appAddress: "127.20.0.5", appPort: 20_002 },
    ],
    outbound: { address: "127.0.0.1", port: 20_003 },
  },
  hostEnv: { PATH: "/bin", HOME: "/home/me", CLOUD_TOKEN: "secret" },
  agentUrl: "file:///agent.js",
  endpointFile: "/state/endpoints.json",
  lookup: (kind, name) => {
    const known = name === "known" ? { key: `${kind}-value`, "a.b": "c" } : null;
    return Promise.resolve(known);
  },
};

function container(fields: object): Container {
  const spec = {
    template: { spec: { containers: [{ ports: [{ containerPort: 8000 }], ...fields }] } },
  };
  const metadata = { name: "web", namespace: "default" };
  const read = readDeployment({ apiVersion: "apps/v1", kind: "Deployment", metadata, spec });
  return read.template.containers[0]!;
}

const build = (fields: object, defaults: unknown = []): Promise<Environment | LaunchFault> =>
  buildEnvironment(container(fields), readEnv(defaults), context);

async function envOf(fields: object, defaults?: unknown): Promise<Record<string, string>> {
  const built = await build(fields, defaults);
  assert.ok(built.kind === "environment");
  return { ...built.env };
}

test("an app learns where to listen and through whom to call, and inherits no secret", async () => {
  const env = await envOf({ ports: [{ containerPort: 8000 }, { containerPort: 9000 }] });
  const told = Object.fromEntries(
    ["HOST", "PORT", "SERVER_ADDRESS", "SERVER_PORT", "PORT_8000", "PORT_9000", "POD_IP"].map(
      (name) => [name, env[name]],
    ),
  );
  assert.deepEqual(told, {
    HOST: "127.20.0.5",
    PORT: "20001",
    SERVER_ADDRESS: "127.20.0.5",
    SERVER_PORT: "20001",
    PORT_8000: "20001",
    PORT_9000: "20002",
    POD_IP: "127.10.0.5",
  });
  assert.equal(env["http_proxy"], "http://127.0.0.1:20003");
  assert.equal(env["HTTP_PROXY"], env["http_proxy"]);
  assert.equal(env["NO_PROXY"], "");
  assert.equal(env["GRAYLANE_OUTBOUND"], "127.0.0.1:20003");
  assert.equal(env["HOME"], "/home/me");
  assert.equal(env["CLOUD_TOKEN"], undefined);
});

test("a container's own PORT and proxy do not win, its NODE_OPTIONS are kept", async () => {
  const env = await envOf({
    env: [
      { name: "PORT", value: "8000" },
      { name: "http_proxy", value: "http://elsewhere" },
      { name: "NODE_OPTIONS", value: "--no-warnings" },
      { name: "JAVA_TOOL_OPTIONS", value: "-Xmx64m" },
    ],
  });
  assert.equal(env["PORT"], "20001");
  assert.equal(env["http_proxy"], "http://127.0.0.1:20003");
  assert.equal(env["NODE_OPTIONS"], "--no-warnings --import=file:///agent.js");
  assert.match(
    env["JAVA_TOOL_OPTIONS"] ?? "",
    /^-Xmx64m -Dhttp\.proxyHost=\S+ -Dhttp\.proxyPort=\d+ /,
  );
});

test("values come from fields, ConfigMaps and Secrets, and may refer to each other", async () => {
  const env = await envOf(
    {
      env: [
        {
          name: "TAG",
          valueFrom: { fieldRef: { fieldPath: "metadata.labels['alicloud.service.tag']" } },
        },
        { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
        { name: "MAP", valueFrom: { configMapKeyRef: { name: "known", key: "key" } } },
        { name: "KEY", valueFrom: { secretKeyRef: { name: "known", key: "key" } } },
        { name: "NONE", valueFrom: { secretKeyRef: { name: "no", key: "key", optional: true } } },
        { name: "ALL", value: "$(TAG)@$(IP):$(PORT) $$(TAG) $(UNKNOWN)" },
        { name: "app", value: "own" },
      ],
      envFrom: [{ prefix: "P_", configMapRef: { name: "known" } }],
    },
    [{ name: "app", value: "default" }],
  );
  assert.equal(env["TAG"], "gray");
  assert.equal(env["MAP"], "ConfigMap-value");
  assert.equal(env["KEY"], "Secret-value");
  assert.equal(env["NONE"], undefined);
  assert.equal(env["ALL"], "gray@127.10.0.5:20001 $(TAG) $(UNKNOWN)");
  assert.equal(env["P_a.b"], "c");
  assert.equal(env["app"], "own");
});

const faults = [
  { name: "a Secret", env: [{ name: "X", valueFrom: { secretKeyRef: { name: "no", key: "k" } } }] },
  {
    name: "a key",
    env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "known", key: "k" } } }],
  },
  { name: "a field", env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "spec.odd" } } }] },
  { name: "a source", env: [{ name: "X", valueFrom: { resourceFieldRef: {} } }] },
];

for (const { name, env } of faults) {
  test(`${name} that is not known is a fault that names the variable`, async () => {
    const fault = await build({ env });
    assert.equal(fault.kind === "fault" && fault.code, "GL0505");
    assert.match(fault.kind === "fault" ? fault.message : "", /^variable X: /);
  });
}

test("without a sidecar an app is told the list of endpoints, and of no proxy", async () => {
  const address = { ...context.address, outbound: null };
  const built = await buildEnvironment(container({}), [], { ...context, address });
  assert.ok(built.kind === "environment");
  const { env } = built;
  assert.equal(env["GRAYLANE_AGENT_ENDPOINTS"], "/state/endpoints.json");
  for (const name of ["http_proxy", "no_proxy", "GRAYLANE_OUTBOUND", "JAVA_TOOL_OPTIONS"]) {
    assert.equal(env[name], undefined, name);
  }
});
