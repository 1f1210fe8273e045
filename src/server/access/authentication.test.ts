//! Every route with every kind of credentials that are none: the routes are those of the router.

import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { ROUTES } from "../routes.ts";
import { agentOf } from "../testing/ask-with-certificate.ts";
import { makeCertificateCases, type CertificateCases } from "../testing/certificate-cases.ts";
import { Served, TOKEN } from "../testing/served.ts";
import { ClientCertificates } from "./client-certificates.ts";
import { TokenFile } from "./token-file.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-tokens-"));
const file = join(directory, "tokens.csv");
const REVOKED = "revoked-token";
const faults: string[] = [];

let served: Served;
let made: CertificateCases;

before(async () => {
  writeTokens(`${REVOKED},eve,1,system:masters\nkept,kim,2,system:masters\n`);
  made = await makeCertificateCases();
  writeFileSync(join(directory, "ca.crt"), made.authorities);
  served = await Served.start(
    {
      clock: new FakeClock(Date.UTC(2026, 0)),
      tokens: new TokenFile(file, (fault) => faults.push(fault)),
      certificates: new ClientCertificates(join(directory, "ca.crt"), (fault) =>
        assert.fail(fault),
      ),
    },
    made.server,
  );
});

after(async () => {
  await served.stop();
  rmSync(directory, { recursive: true });
});

/** As an editor or a secret's mount does it: whole or not at all. */
function writeTokens(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** RFC 7519 section 6: tokens of this kind are not taken at all. */
function unsecured(claims: object): string {
  const parts = [{ alg: "none", typ: "JWT" }, claims];
  const encoded = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  return `${encoded.join(".")}.`;
}

/** The third: a certificate of the table of cases. */
const CREDENTIALS: readonly (readonly [
  name: string,
  headers: Record<string, string>,
  certificate?: string,
])[] = [
  ["no token", {}],
  ["a wrong token", { authorization: `Bearer ${"u".repeat(64)}` }],
  ["the token's beginning", { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
  ["the token's end", { authorization: `Bearer ${TOKEN.slice(1)}` }],
  ["the token and a letter more", { authorization: `Bearer ${TOKEN}t` }],
  ["the token in capitals", { authorization: `Bearer ${TOKEN.toUpperCase()}` }],
  ["two tokens", { authorization: `Bearer ${TOKEN} ${TOKEN}` }],
  ["an empty token", { authorization: "Bearer " }],
  ["no scheme", { authorization: TOKEN }],
  ["another scheme", { authorization: `Basic ${TOKEN}` }],
  [
    "the token as a password",
    { authorization: `Basic ${Buffer.from(`graylane:admin:${TOKEN}`).toString("base64")}` },
  ],
  ["an unsigned JWT", { authorization: `Bearer ${unsecured({ sub: "graylane:admin" })}` }],
  ["a token that was taken out of the file", { authorization: `Bearer ${REVOKED}` }],
  ["the token in a cookie", { cookie: `token=${TOKEN}; authorization=Bearer ${TOKEN}` }],
  ["the token in another field", { "proxy-authorization": `Bearer ${TOKEN}` }],
  [
    "a name that a front proxy would set",
    { "x-remote-user": "graylane:admin", "x-remote-group": "system:masters" },
  ],
  [
    "a wish to be somebody",
    { "impersonate-user": "graylane:admin", "impersonate-group": "system:masters" },
  ],
  ["a certificate of nobody's authority", {}, "itself"],
  ["a certificate of an authority of the same name", {}, "an authority of the same name"],
  ["a certificate that has expired", {}, "an end in the past"],
  ["a certificate of a server", {}, "the usage of a server"],
  ["a certificate without a name", {}, "no name"],
  [
    "a wrong certificate and a wrong token",
    { authorization: `Bearer ${"u".repeat(64)}` },
    "a user in between",
  ],
];
const UNKNOWN = ["/", "/unknown", "/graylane", "/api/v1/a/b/c/d/e/f", "/healthz/more"];

function pathOf(template: string): string {
  const values: Record<string, string> = { version: "v1", group: "apps", plural: "deployments" };
  return template.replaceAll(/:(\w+)/g, (_, name: string) => values[name] ?? "default");
}

test("only what Kubernetes leaves open to everybody is open", () => {
  const open = ROUTES.filter(({ isOpen }) => isOpen).map(({ path }) => path);
  assert.deepEqual(open, ["/healthz", "/livez", "/readyz", "/version"]);
});

test("a token is taken as long as it stands in the file, and no longer", async () => {
  const ask = { path: "/api/v1/configmaps", token: REVOKED };
  assert.equal((await served.send(ask)).code, 200);
  writeTokens("kept,kim,2,system:masters\n");
  assert.equal((await served.send(ask)).code, 401);
  assert.equal((await served.send({ ...ask, token: "kept" })).code, 200);
  writeTokens(`kept,kim,2,system:masters\n${REVOKED},eve\n`);
  assert.equal((await served.send({ ...ask, token: "kept" })).code, 401, "a fault lets nobody in");
  assert.match(faults.join("\n"), /tokens\.csv:2:1: must be token,user,uid/);
  assert.equal(faults.join("\n").includes(REVOKED), false);
  assert.equal((await served.send({ path: ask.path })).code, 200, "but for the administrator");
  writeTokens("kept,kim,2,system:masters\n");
});

for (const [name, headers, certificate] of CREDENTIALS) {
  test(`every route answers 401 to ${name}, whatever the method`, async () => {
    const { revision } = served.store;
    const shown = made.cases.find((each) => each.name === certificate);
    assert.equal(shown?.name, certificate);
    const by = shown === undefined ? {} : { agent: agentOf(shown) };
    for (const { path: template, isOpen, verbs } of ROUTES) {
      for (const method of [...Object.keys(verbs), "OPTIONS"]) {
        const path = pathOf(template);
        const { code } = await served.send({ method, path, headers, token: "", ...by });
        const want = !isOpen ? 401 : method === "GET" ? 200 : 405;
        assert.equal(code, want, `${method} ${path}`);
      }
    }
    for (const path of UNKNOWN) {
      assert.equal((await served.send({ path, headers, token: "", ...by })).code, 401, path);
    }
    const query = `/api/v1/configmaps?token=${TOKEN}&access_token=${TOKEN}`;
    assert.equal((await served.send({ path: query, headers, token: "", ...by })).code, 401);
    assert.deepEqual([served.called, served.store.revision], [[], revision]);
    by.agent?.destroy();
  });
}

test("with the token no route answers 401 or 403", async () => {
  for (const { path, verbs } of ROUTES) {
    for (const method of Object.keys(verbs)) {
      const { code } = await served.send({ method, path: pathOf(path) });
      assert.ok(code !== 401 && code !== 403, `${method} ${path}: ${code}`);
    }
  }
});
