import assert from "node:assert/strict";
import { test } from "node:test";
import { configDump, staticDump } from "./config-dump.ts";
import type { DumpedNode } from "./config-dump.ts";

const AT = "2026-11-22T10:00:00Z";
const REFUSED = { details: "no such balancer", json: { name: "a", lb_policy: "MAGLEV" } };
const SECRET = {
  name: "s",
  tls_certificate: {
    certificate_chain: { inline_string: "CHAIN" },
    private_key: { inline_string: "KEY" },
  },
};
const NODE: DumpedNode = {
  id: "edge-1",
  updatedAt: AT,
  omitted: ["Gateway entry: Envoy cannot fly"],
  resources: {
    clusters: [
      { name: "a", json: { name: "a" }, status: "NACKED", error: REFUSED },
      { name: "b", json: null, status: "NACKED", error: REFUSED },
    ],
    endpoints: [{ name: "a", json: { cluster_name: "a" }, status: "ACKED" }],
    secrets: [
      { name: "s", json: SECRET, status: "NACKED", error: { details: "no", json: SECRET } },
    ],
    extensions: [{ name: "plugin|p", json: { name: "plugin|p" }, status: "ACKED" }],
    listeners: [{ name: "l", json: { name: "l" }, status: "ACKED" }],
    routes: [{ name: "r", json: { name: "r" }, status: "REQUESTED" }],
  },
};

interface Section {
  readonly "@type": string;
  readonly [name: string]: unknown;
}

function sections(withEndpoints: boolean): Map<string, Section> {
  const { configs } = configDump(NODE, withEndpoints);
  return new Map((configs as Section[]).map((one) => [one["@type"].split(".").at(-1) ?? "", one]));
}

test("the sections are Envoy's, endpoints only when they are asked for", () => {
  const names = ["BootstrapConfigDump", "ClustersConfigDump", "SecretsConfigDump"];
  const others = ["EcdsConfigDump", "ListenersConfigDump", "RoutesConfigDump"];
  assert.deepEqual([...sections(false).keys()], [...names, ...others]);
  assert.ok(sections(true).has("EndpointsConfigDump"));
});

test("a resource that was refused has the last good one beside what was refused and why", () => {
  const clusters = sections(false).get("ClustersConfigDump")?.["dynamic_active_clusters"];
  const [a, b] = clusters as Section[];
  assert.deepEqual(a?.["cluster"], {
    "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    name: "a",
  });
  assert.equal(a["client_status"], "NACKED");
  const { details, failed_configuration: failed } = a["error_state"] as Section;
  assert.equal(details, "no such balancer");
  assert.equal((failed as Section)["lb_policy"], "MAGLEV");
  assert.deepEqual(Object.keys(b ?? {}), ["error_state", "client_status"]);
});

test("a secret is shown without its key, also one that was refused", () => {
  const text = JSON.stringify(configDump(NODE, true));
  assert.ok(text.includes("CHAIN") && text.includes("[redacted]"), text);
  assert.ok(!text.includes("KEY"), text);
});

test("a listener's state stands below its name", () => {
  const list = sections(false).get("ListenersConfigDump")?.["dynamic_listeners"] as Section[];
  assert.equal(list[0]?.["name"], "l");
  const { listener, last_updated: at } = list[0]["active_state"] as Section;
  assert.deepEqual([(listener as Section)["name"], at], ["l", AT]);
});

test("what Envoy cannot do is in the node's metadata", () => {
  const bootstrap = sections(false).get("BootstrapConfigDump")?.["bootstrap"];
  assert.match(JSON.stringify(bootstrap), /"omitted":\["Gateway entry: Envoy cannot fly"\]/);
});

test("a bootstrap's own resources are static, and no key is shown", () => {
  const key = { inline_string: "SECRET" };
  const document = {
    node: { id: "n" },
    staticResources: {
      clusters: [{ name: "c", transport_socket: { private_key: key, privateKey: key } }],
      listeners: [{ name: "l" }],
    },
  };
  const text = JSON.stringify(staticDump(document, AT));
  assert.doesNotMatch(text, /SECRET/);
  assert.match(text, /"static_clusters":\[\{"cluster":\{"@type":"[^"]*Cluster","name":"c"/);
  assert.match(text, /"static_listeners":\[\{"listener":\{"@type":"[^"]*Listener","name":"l"/);
  assert.equal(JSON.stringify(staticDump(null, AT)).includes("static_clusters"), true);
});
