import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeUserPairs } from "../../src/server/testing/certificate-cases.ts";
import { Graylane } from "../support/graylane.ts";
import { findKubectl, Kubectl } from "../support/kubectl.ts";

const EXAMPLE = "examples/asm-hash-tagging";

const directory = mkdtempSync(join(tmpdir(), "graylane-kubectl-"));
const authorities = join(directory, "client-ca.crt");
let users: Awaited<ReturnType<typeof makeUserPairs>>;
let graylane: Graylane;
let kubectl: Kubectl;

before(async () => {
  const path = await findKubectl();
  users = await makeUserPairs({ carol: ["viewers"], stranger: [] });
  const { authority } = await makeUserPairs({});
  writeFileSync(authorities, `${authority}${users.authority}`);
  const words = ["--client-ca-file", authorities, "--audit-log", join(directory, "audit.log")];
  graylane = await Graylane.start({ files: [`${EXAMPLE}/gateway.yaml`], words });
  kubectl = new Kubectl(path, graylane.stateDirectory);
  process.stdout.write(await kubectl.demand("version"));
});

after(async () => {
  await graylane.stop();
  rmSync(directory, { recursive: true });
});

const ALL = ["sample", "services", "virtual-service", "lanes", "wasm"];

async function versionOf(user: string): Promise<string | undefined> {
  const { body } = await graylane.ask({ headers: [["x-user-id", user]] });
  return /mockc\(version: (v\d)/.exec(body)?.[1];
}

/** Who reaches mockc v2, of the users of the walk-through. */
async function canaryUsers(): Promise<readonly string[]> {
  const users = ["jason", "bob", "stacy", "jessie", "vance", "jack"];
  const found: string[] = [];
  for (const user of users) if ((await versionOf(user)) === "v2") found.push(user);
  return found;
}

test("kubectl apply runs the walk-through: 20 %, 50 %, back to 0", async () => {
  const out = await kubectl.demand("apply", ...ALL.flatMap((f) => ["-f", `${EXAMPLE}/${f}.yaml`]));
  assert.match(out, /wasmplugin\.extensions\.istio\.io\/hash-tagging (created|configured)/);
  await kubectl.demand("rollout", "status", "deployment/mockc-v2", "--timeout=60s");
  await graylane.settle();
  assert.deepEqual(await canaryUsers(), ["jason", "jessie", "jack"]);
  await kubectl.demand("apply", "-f", `${EXAMPLE}/steps/range-50.yaml`);
  await graylane.published();
  assert.deepEqual(await canaryUsers(), ["jason", "bob", "stacy", "jessie", "jack"]);
  await kubectl.demand("apply", "-f", `${EXAMPLE}/steps/range-0.yaml`);
  await graylane.published();
  assert.deepEqual(await canaryUsers(), ["jason"]);
});

test("get, describe, explain and api-resources print as on a cluster", async () => {
  const pods = await kubectl.demand("get", "pods", "-l", "app=mockc");
  assert.match(pods, /^NAME +READY +STATUS +RESTARTS +AGE\n/);
  assert.match(pods, /mockc-v2-\S+ +1\/1 +Running/);
  const paged = await kubectl.demand("get", "deployments", "--chunk-size=2", "-o", "name");
  assert.equal(paged, await kubectl.demand("get", "deployments", "--chunk-size=0", "-o", "name"));
  assert.ok(paged.split("\n").length > 3, paged);
  assert.match(await kubectl.demand("describe", "pods"), /^Name: +mock/);
  assert.match(await kubectl.demand("api-resources"), /lanes +graylane\.io\/v1alpha1 +true +Lane/);
  assert.match(await kubectl.demand("explain", "lane.spec.selector"), /matchLabels/);
  assert.match(await kubectl.demand("get", "deployments", "-o", "wide"), /mockc-v1 +1\/1/);
  assert.match(await kubectl.demand("get", "--raw", "/readyz"), /ok/);
});

test("diff shows a change and exits 1, and nothing has changed then", async () => {
  const { exitCode, stdout } = await kubectl.run("diff", "-f", `${EXAMPLE}/steps/range-50.yaml`);
  assert.equal(exitCode, 1);
  assert.match(stdout, /^\+.*50/m);
  assert.deepEqual(await canaryUsers(), ["jason"]);
});

test("a strategic patch, scaling by a JSON patch, label, annotate and wait", async () => {
  const container = { name: "default", env: [{ name: "ADDED", value: "1" }] };
  const patch = { spec: { template: { spec: { containers: [container] } } } };
  await kubectl.demand("patch", "deployment", "mockc-v2", "-p", JSON.stringify(patch));
  const path = "jsonpath={.spec.template.spec.containers[*].name}";
  assert.equal(await kubectl.demand("get", "deployment", "mockc-v2", "-o", path), "default");
  const scale = JSON.stringify([{ op: "replace", path: "/spec/replicas", value: 2 }]);
  await kubectl.demand("patch", "deployment", "mockc-v2", "--type=json", "-p", scale);
  await kubectl.demand("rollout", "status", "deployment/mockc-v2", "--timeout=60s");
  await graylane.settle();
  await kubectl.demand("wait", "--for=condition=Ready", "pod", "-l", "app=mockc", "--timeout=60s");
  await kubectl.demand("label", "deployment", "mockc-v2", "team=a");
  await kubectl.demand("annotate", "deployment", "mockc-v2", "why=test");
  const labelled = await kubectl.demand("get", "deployments", "-l", "team=a", "-o", "name");
  assert.equal(labelled.trim(), "deployment.apps/mockc-v2");
});

test("server-side apply conflicts with another manager until it is forced", async () => {
  const configMap = (value: string): string =>
    graylane.file(
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {a: "${value}"}\n`,
    );
  const apply = ["apply", "--server-side"];
  await kubectl.demand(...apply, "--field-manager=one", "-f", configMap("1"));
  const refused = await kubectl.run(...apply, "--field-manager=two", "-f", configMap("2"));
  assert.notEqual(refused.exitCode, 0);
  assert.match(refused.stderr, /conflict with "one".*\.data\.a/s);
  const forced = [...apply, "--field-manager=two", "--force-conflicts", "-f", configMap("2")];
  await kubectl.demand(...forced);
  const value = await kubectl.demand("get", "configmap", "shared", "-o", "jsonpath={.data.a}");
  assert.equal(value, "2");
});

test("edit writes what the editor has made of the object", async () => {
  const words = ["edit", "configmap", "shared"];
  const { stdout } = await kubectl.runWith({ KUBE_EDITOR: `sed -i 's/a: "2"/a: "3"/'` }, ...words);
  assert.match(stdout, /configmap\/shared edited/);
  const value = await kubectl.demand("get", "configmap", "shared", "-o", "jsonpath={.data.a}");
  assert.equal(value, "3");
});

test("a field that does not exist is refused with its path before anything changes", async () => {
  const text = "apiVersion: graylane.io/v1alpha1\nkind: Lane\nmetadata: {name: typo}\n";
  const file = graylane.file(
    `${text}spec: {group: g, selectr: {}, selector: {matchLabels: {a: b}}}\n`,
  );
  const { exitCode, stderr } = await kubectl.run("apply", "-f", file);
  assert.notEqual(exitCode, 0);
  assert.match(stderr, /unknown field "spec\.selectr".*Did you mean selector\?/s);
});

test("scale changes the replicas, on condition of their number if told so", async () => {
  const deployment = "deployment/mockc-v2";
  await kubectl.demand("scale", deployment, "--replicas=1");
  const path = ["get", deployment, "-o", "jsonpath={.spec.replicas}"];
  assert.equal(await kubectl.demand(...path), "1");
  await kubectl.demand("scale", deployment, "--current-replicas=1", "--replicas=2");
  assert.equal(await kubectl.demand(...path), "2");
  const { exitCode, stderr } = await kubectl.run(
    ...["scale", deployment, "--current-replicas=1", "--replicas=3"],
  );
  assert.notEqual(exitCode, 0);
  assert.match(stderr, /Expected replicas to be 1, was 2/);
});

test("an object with a finalizer is gone when the finalizer is", async () => {
  const file = graylane.file(
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [graylane.io/test]}\n",
  );
  await kubectl.demand("apply", "-f", file);
  const deleting = kubectl.demand("delete", "configmap", "held");
  const since = "jsonpath={.metadata.deletionTimestamp}";
  await kubectl.demand("wait", `--for=${since}`, "configmap/held", "--timeout=60s");
  const patch = JSON.stringify({ metadata: { finalizers: null } });
  await kubectl.demand("patch", "configmap", "held", "--type=merge", "-p", patch);
  assert.match(await deleting, /configmap "held" deleted/);
});

async function makeFamily(name: string): Promise<void> {
  await kubectl.demand("create", "configmap", name);
  const uid = await kubectl.demand("get", "configmap", name, "-o", "jsonpath={.metadata.uid}");
  const owner = `{ apiVersion: v1, kind: ConfigMap, name: ${name}, uid: ${uid} }`;
  const metadata = `{ name: ${name}-child, ownerReferences: [${owner}] }`;
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: ${metadata}\n`;
  await kubectl.demand("create", "-f", graylane.file(text));
}

test("what is owned goes with its owner, unless it is orphaned", async () => {
  await Promise.all(["parent", "leaving"].map(makeFamily));
  const gone = kubectl.demand("wait", "--for=delete", "cm/parent-child", "--timeout=60s");
  await kubectl.demand("delete", "configmap", "parent");
  await gone;
  await kubectl.demand("delete", "configmap", "leaving", "--cascade=orphan");
  const owners = "jsonpath={.metadata.ownerReferences}";
  assert.equal(await kubectl.demand("get", "configmap", "leaving-child", "-o", owners), "");
});

test("a Deployment that is deleted in the foreground goes after its pods", async () => {
  const image = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";
  await kubectl.demand("create", "deployment", "goes", `--image=${image}`, "--port=8000");
  await kubectl.demand("rollout", "status", "deployment/goes", "--timeout=60s");
  assert.match(
    await kubectl.demand("describe", "pods", "-l", "app=goes"),
    /Controlled By: +Deployment\/goes/,
  );
  await kubectl.demand("delete", "deployment", "goes", "--cascade=foreground");
  assert.equal((await kubectl.run("get", "pods", "-l", "app=goes")).stdout, "");
});

test("a service account has tokens, and may do what its roles say until it is deleted", async () => {
  await kubectl.demand("create", "serviceaccount", "robot");
  assert.match(await kubectl.demand("get", "sa"), /^robot +0 +\d/m);
  const words = ["create", "rolebinding", "robot", "--clusterrole=view"];
  await kubectl.demand(...words, "--serviceaccount=default:robot");
  const token = await kubectl.demand("create", "token", "robot", "--duration=20m");
  const asRobot = ["--user=", `--token=${token.trim()}`];
  const who = await kubectl.demand(...asRobot, "auth", "whoami");
  assert.match(who, /Username +system:serviceaccount:default:robot\n/);
  assert.equal((await kubectl.demand(...asRobot, "auth", "can-i", "get", "pods")).trim(), "yes");
  await kubectl.demand(...asRobot, "get", "pods");
  const refused = await kubectl.run(...asRobot, "delete", "sa", "robot");
  assert.match(refused.stderr, /"system:serviceaccount:default:robot" cannot delete resource/);
  await kubectl.demand("delete", "serviceaccount", "robot");
  const late = await kubectl.run(...asRobot, "get", "pods");
  assert.match(late.stderr, /has been deleted|Unauthorized|logged in/);
});

const SHOP = `apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: held, namespace: shop, finalizers: [graylane.io/test] }
---
apiVersion: v1
kind: Secret
metadata: { name: free, namespace: shop }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: mockc, namespace: shop }
spec:
  replicas: 1
  selector: { matchLabels: { app: mockc } }
  template:
    metadata: { labels: { app: mockc } }
    spec: { containers: [{ name: app, image: "registry.example/mockc:v1" }] }
`;

test("delete namespace waits until all that it held is gone, and nothing comes meanwhile", async () => {
  await kubectl.demand("apply", "-f", graylane.file(SHOP));
  await kubectl.demand(
    "wait",
    "--for=create",
    "pod",
    "-l",
    "app=mockc",
    "-n",
    "shop",
    "--timeout=60s",
  );
  const deleting = kubectl.demand("delete", "namespace", "shop");
  const waits = "jsonpath={.status.conditions[?(@.type=='NamespaceFinalizersRemaining')].status}";
  await kubectl.demand("wait", `--for=${waits}=True`, "ns/shop", "--timeout=60s");
  assert.match(await kubectl.demand("get", "ns", "shop"), /^shop +Terminating/m);
  const late = await kubectl.run("create", "-f", graylane.file(LATE));
  assert.match(late.stderr, /because it is being terminated/);
  const patch = JSON.stringify({ metadata: { finalizers: null } });
  await kubectl.demand("patch", "configmap", "held", "-n", "shop", "--type=merge", "-p", patch);
  assert.match(await deleting, /namespace "shop" deleted/);
  const { stdout } = await kubectl.run("get", "deployments,pods,secrets,configmaps", "-n", "shop");
  assert.equal(stdout, "");
  const kept = await kubectl.run("delete", "namespace", "default");
  assert.match(kept.stderr, /namespaces "default" is forbidden: this namespace may not be deleted/);
});

const LATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: late, namespace: shop }\n";

test("delete deletes, and waits until it is gone", async () => {
  await kubectl.demand("delete", "wasmplugin", "hash-tagging", "-n", "istio-system");
  await kubectl.demand("delete", "asmswimlane", "s2");
  const gone = await kubectl.run("get", "asmswimlane", "s2");
  assert.match(gone.stderr, /NotFound/);
  await kubectl.demand("delete", "configmaps", "--all");
  const { stdout, stderr } = await kubectl.run("get", "configmaps");
  assert.equal(stdout, "");
  assert.match(stderr, /No resources found/);
});

const BINDING = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: alice, namespace: default }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: alice }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: view }
rules: [{ apiGroups: [""], resources: [pods], verbs: [list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: reviews }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviews }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:authenticated }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: reviews }
rules:
  - { apiGroups: [authorization.k8s.io], resources: ["*"], verbs: [create] }
  - { nonResourceURLs: ["/api*"], verbs: [get] }
`;

test("auth can-i, auth whoami and a refusal say what they say on a cluster", async () => {
  await kubectl.demand("apply", "-f", graylane.file(BINDING));
  assert.match(await kubectl.demand("auth", "whoami"), /^Username +graylane:admin$/m);
  const asAlice = ["--as", "alice"];
  assert.equal(await kubectl.demand("auth", "can-i", "list", "pods", ...asAlice), "yes\n");
  const no = await kubectl.run("auth", "can-i", "list", "secrets", ...asAlice);
  assert.deepEqual([no.exitCode, no.stdout], [1, "no\n"]);
  assert.match(await kubectl.demand("auth", "can-i", "--list", ...asAlice), /^pods .*\[list\]$/m);
  const refused = await kubectl.run("get", "secrets", ...asAlice);
  const cannot = 'User "alice" cannot list resource "secrets" in API group ""';
  const whole = `Error from server (Forbidden): secrets is forbidden: ${cannot}`;
  assert.equal(refused.stderr, `${whole} in the namespace "default"\n`);
});

test("a wrong token is told in kubectl's own words", async () => {
  const config = JSON.parse(readFileSync(join(graylane.stateDirectory, "kubeconfig"), "utf8")) as {
    readonly users: readonly [{ readonly user: { token: string } }];
  };
  config.users[0].user.token = "wrong";
  const file = graylane.file(JSON.stringify(config));
  const { exitCode, stderr } = await kubectl.run("--kubeconfig", file, "get", "pods");
  assert.equal(exitCode, 1);
  assert.match(stderr, /^error: You must be logged in to the server \(/m);
});

const VIEWERS = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: viewers }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: viewers }]
`;

interface Kubeconfig {
  readonly clusters: readonly [{ readonly cluster: object }];
  users: readonly { readonly name: string; readonly user: object }[];
}

test("a user by certificate may do what the groups in it may, until its authority goes", async () => {
  await kubectl.demand("apply", "-f", graylane.file(VIEWERS));
  const config = JSON.parse(
    readFileSync(join(graylane.stateDirectory, "kubeconfig"), "utf8"),
  ) as Kubeconfig;
  const carol = users.pairs.get("carol") ?? assert.fail();
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const data = {
    "client-certificate-data": base64(carol.cert),
    "client-key-data": base64(carol.key),
  };
  config.users = [{ name: "graylane", user: data }];
  const asCarol = ["--kubeconfig", graylane.file(JSON.stringify(config))];
  const whoami = await kubectl.demand(...asCarol, "auth", "whoami");
  assert.match(whoami, /^Username +carol\nGroups +\[viewers system:authenticated\]$/m);
  assert.match(whoami, /credential-id +\[X509SHA256=[0-9a-f]{64}\]$/m);
  await kubectl.demand(...asCarol, "get", "pods");
  const refused = await kubectl.run(...asCarol, "create", "-f", graylane.file(VIEWERS));
  assert.match(refused.stderr, /User "carol" cannot create resource "clusterrolebindings"/);
  config.users = [{ name: "graylane", user: {} }];
  const files = [
    ...["--kubeconfig", graylane.file(JSON.stringify(config))],
    ...["--client-certificate", graylane.file(carol.cert)],
    ...["--client-key", graylane.file(carol.key)],
  ];
  await kubectl.demand(...files, "get", "pods");
  const audited = readFileSync(join(directory, "audit.log"), "utf8").split("\n");
  assert.ok(audited.some((line) => /"verb":"create".*"username":"carol"/.test(line)));
  writeFileSync(authorities, (await makeUserPairs({})).authority);
  const { exitCode, stderr } = await kubectl.run(...files, "get", "pods");
  assert.equal(exitCode, 1);
  assert.match(stderr, /^error: You must be logged in to the server \(/m);
});

const TYPED = [
  ["namespace", "typed"],
  ["configmap", "typed", "--from-literal=a=b", "--from-literal=c="],
  ["secret", "generic", "typed", "--from-literal=password=s3cret"],
  ["secret", "docker-registry", "typed-pull", "--docker-username=u", "--docker-password=p"],
  ["deployment", "typed", "--image=registry.test/mock:v1", "--replicas=0", "--port=8080"],
  ["service", "clusterip", "typed", "--tcp=80:8080"],
  ["ingress", "typed", "--rule=a.test/x*=typed:80,tls=typed"],
  ["role", "typed", "--verb=get,list", "--resource=pods,deployments.apps"],
  ["rolebinding", "typed", "--role=typed", "--user=carol", "--serviceaccount=default:robot"],
  ["clusterrole", "typed", "--verb=get", "--non-resource-url=/metrics"],
  ["clusterrolebinding", "typed", "--clusterrole=typed", "--group=viewers"],
] as const;

interface Created {
  readonly metadata: { readonly name: string };
  readonly [field: string]: unknown;
}

/** What is said in both, as far as `wanted` says it. */
function asFarAs(wanted: unknown, given: unknown): unknown {
  if (typeof wanted !== "object" || wanted === null) return given;
  if (Array.isArray(wanted)) {
    const list = Array.isArray(given) ? (given as readonly unknown[]) : [];
    return wanted.map((each, at) => asFarAs(each, list[at]));
  }
  const from = (given ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(wanted).map(([name, value]) => [name, asFarAs(value, from[name])]),
  );
}

test("the typed create commands create what they say that they would", async () => {
  const created = TYPED.map(async (words) => {
    const all = ["create", ...words, "-o", "json"];
    const said = await kubectl.demand(...all, "--dry-run=client");
    // Of Go's JSON: what it writes of nothing at all.
    const empty = /"(?:status|strategy|resources)": \{\}|"creationTimestamp": null/;
    const wanted = JSON.parse(said, (name, value: unknown) => {
      return empty.test(`"${name}": ${JSON.stringify(value)}`) ? undefined : value;
    }) as Created;
    const real = JSON.parse(await kubectl.demand(...all)) as Created;
    assert.deepEqual(asFarAs(wanted, real), wanted, words.join(" "));
  });
  await Promise.all(created);
  const secret = ["get", "secret", "typed", "-o", "jsonpath={.data.password}"];
  assert.equal(Buffer.from(await kubectl.demand(...secret), "base64").toString(), "s3cret");
  const again = await kubectl.run("create", "namespace", "typed");
  assert.match(again.stderr, /\(AlreadyExists\): .*namespaces "typed" already exists/);
});
