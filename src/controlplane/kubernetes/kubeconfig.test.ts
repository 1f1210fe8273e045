import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inClusterAccess, KubeconfigError, readKubeconfig } from "./kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-kubeconfig-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function configOf(cluster: object, user: object): string {
  return JSON.stringify({
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u", namespace: "shop" } }],
    clusters: [{ name: "k", cluster: { server: "https://10.0.0.1:6443", ...cluster } }],
    users: [{ name: "u", user }],
  });
}

test("a token, a file of a token, and a client certificate are read", () => {
  const data = Buffer.from("PEM").toString("base64");
  const ca = { "certificate-authority-data": data };
  const plain = readKubeconfig(written("plain", configOf(ca, { token: "t" })), null);
  assert.equal(plain.server.href, "https://10.0.0.1:6443/");
  assert.deepEqual([plain.ca, plain.token(), plain.namespace], ["PEM", "t", "shop"]);
  const token = written("token", "old\n");
  const renewed = readKubeconfig(written("file", configOf(ca, { tokenFile: "token" })), "c");
  assert.equal(renewed.token(), "old");
  writeFileSync(token, "new\n");
  assert.equal(renewed.token(), "new", "a renewed file is read again");
  written("key.pem", "KEY");
  const user = { "client-certificate-data": data, "client-key": "key.pem" };
  const certified = readKubeconfig(written("certified", configOf(ca, user)), null);
  assert.deepEqual([certified.cert, certified.key, certified.token()], ["PEM", "KEY", null]);
});

const REFUSED = [
  ["YAML that is none", "a: [", /line 1/],
  ["no context", "{}", /current-context is empty/],
  ["a context that is not there", '{"current-context": "x"}', /contexts has no entry .* x$/],
  ["a command for the token", configOf({}, { exec: {} }), /user\.exec is not supported/],
  ["a proxy", configOf({ "proxy-url": "http://p" }, {}), /proxy-url is not supported/],
  [
    "no check of the server",
    configOf({ "insecure-skip-tls-verify": true }, {}),
    /insecure-skip-tls-verify is not supported: name certificate-authority-data/,
  ],
  ["no URL", configOf({ server: "10.0.0.1" }, {}), /server: 10\.0\.0\.1 is no URL/],
  ["a missing file", configOf({}, { tokenFile: "none" }), /tokenFile cannot be read: ENOENT/],
  ["half of a pair", configOf({}, { "client-key-data": "" }), /client-key together/],
] as const;

for (const [what, text, why] of REFUSED) {
  test(`refused, with the field: ${what}`, () => {
    const path = written("refused", text);
    const isSaid = (error: unknown): boolean =>
      error instanceof KubeconfigError && why.test(error.message);
    assert.throws(() => readKubeconfig(path, null).token(), isSaid);
  });
}

test("a Pod finds its service account, and elsewhere it is said what to name", () => {
  for (const name of ["ca.crt", "token", "namespace"]) written(name, `${name}\n`);
  const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
  const access = inClusterAccess(env, folder);
  assert.equal(access.server.origin, "https://[fd00::1]");
  assert.deepEqual([access.token(), access.namespace], ["token", "namespace"]);
  assert.throws(() => inClusterAccess({}, folder), /--kubeconfig/);
});
