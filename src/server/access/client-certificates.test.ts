//! Who is let in by a certificate. A component test asks a real kube-apiserver the same cases.

import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { FakeClock } from "../../base/fake-clock.ts";
import { agentOf, isAsSaid, whoAmI } from "../testing/ask-with-certificate.ts";
import { makeCertificateCases } from "../testing/certificate-cases.ts";
import { Served, TOKEN } from "../testing/served.ts";
import { ClientCertificates, parseAuthorities } from "./client-certificates.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-authorities-"));
const file = join(directory, "ca.crt");
const made = await makeCertificateCases();
const clock = new FakeClock(Date.UTC(2026, 0));
const faults: string[] = [];
const lines: string[] = [];

writeAuthorities(made.authorities);
const served = await Served.start(
  {
    clock,
    certificates: new ClientCertificates(file, (fault) => faults.push(fault)),
    audit: {
      write: (line) => lines.push(line),
      writeThrough: (line) => {
        lines.push(line);
        return Promise.resolve();
      },
    },
  },
  made.server,
);
const { url } = served.server;

after(async () => {
  await served.stop();
  rmSync(directory, { recursive: true });
});

function writeAuthorities(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

for (const each of made.cases) {
  test(`a certificate is judged: ${each.name}`, async () => {
    const answer = await whoAmI(url, { pair: each });
    assert.ok(isAsSaid(each, answer), JSON.stringify(answer));
    if (each.is instanceof RegExp) assert.match(answer.message, each.is);
  });
}

test("a certificate goes before a token, and either is enough", async () => {
  const pairs = { none: undefined, right: made.alice, wrong: strangerOf() };
  const tokens = { none: undefined, right: TOKEN, wrong: "wrong" };
  const seen: Record<string, string> = {};
  for (const [ofPair, pair] of Object.entries(pairs)) {
    for (const [ofToken, token] of Object.entries(tokens)) {
      const { code, user } = await whoAmI(url, {
        ...(pair && { pair }),
        ...(token !== undefined && { token }),
      });
      seen[`${ofPair} ${ofToken}`] = user?.username ?? String(code);
    }
  }
  assert.deepEqual(seen, {
    ...{ "none none": "401", "none right": "graylane:admin", "none wrong": "401" },
    ...{ "right none": "alice", "right right": "alice", "right wrong": "alice" },
    ...{ "wrong none": "401", "wrong right": "graylane:admin", "wrong wrong": "401" },
  });
});

function strangerOf(): (typeof made.cases)[number] {
  return made.cases.find(({ name }) => name === "itself") ?? assert.fail();
}

test("a kept connection does not outlive the authority in the file", async () => {
  const agent = agentOf(made.alice);
  const ask = (): ReturnType<typeof whoAmI> => whoAmI(url, { agent });
  assert.equal((await ask()).user?.username, "alice");
  writeAuthorities(made.authorityOfBob);
  assert.match((await ask()).message, /signed by no authority/);
  writeAuthorities(made.authorityOfAlice);
  assert.equal((await ask()).user?.username, "alice");
  writeAuthorities(`${made.authorityOfAlice}\n-----BEGIN CERTIFICATE-----\nAAAA\n`);
  assert.equal((await ask()).code, 401, "a fault lets nobody in");
  assert.match(faults.at(-1) ?? "", /ca\.crt:\d+:1: the certificate has no end$/);
  assert.equal((await whoAmI(url, { token: TOKEN })).code, 201, "but for the administrator");
  rmSync(file);
  assert.equal((await ask()).code, 401);
  writeAuthorities(made.authorities);
  assert.equal((await ask()).user?.username, "alice");
  assert.deepEqual(
    Object.values(agent.freeSockets).map((list) => list?.length),
    [1],
    "all of it on one connection",
  );
  agent.destroy();
});

test("a kept connection does not outlive its certificate", async () => {
  const agent = agentOf(made.ending);
  assert.equal((await whoAmI(url, { agent })).user?.username, "ending");
  clock.advance(Date.UTC(2030, 0) - clock.nowMs());
  assert.equal((await whoAmI(url, { agent })).user?.username, "ending", "to the millisecond");
  clock.advance(1);
  assert.match((await whoAmI(url, { agent })).message, /it expired at 2030-01-01/);
  agent.destroy();
});

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`no session of ${maxVersion} is resumed`, async () => {
    const tls = { maxVersion };
    const agent = agentOf(made.alice, tls);
    let session: Buffer | undefined;
    agent.on("keylog", (_line, socket: TLSSocket) => {
      socket.once("session", (own: Buffer) => (session = own));
    });
    assert.equal((await whoAmI(url, { agent })).user?.username, "alice");
    agent.destroy();
    const more = { ...tls, ...(session && { session }) };
    const again = await whoAmI(url, { pair: made.alice, tls: more });
    assert.deepEqual([again.user?.username, again.isResumed], ["alice", false]);
    // Who has the session and no certificate is nobody.
    assert.equal((await whoAmI(url, { tls: more })).code, 401);
  });
}

test("the audit log names who it was", async () => {
  lines.length = 0;
  await whoAmI(url, { pair: made.alice });
  await whoAmI(url, { pair: strangerOf() });
  const [alice, nobody] = lines.map((line) => {
    return (JSON.parse(line) as { readonly user: { readonly extra?: unknown } }).user;
  });
  assert.match(JSON.stringify(alice?.extra), /^{"authentication\.kubernetes\.io\/credential-id":/);
  assert.match(JSON.stringify(alice), /"username":"alice","groups":\["viewers","system:auth/);
  assert.deepEqual(nobody, { username: "system:anonymous", groups: ["system:unauthenticated"] });
});

test("who shows a certificate to a process that is replaced is told to come again", async () => {
  const certificates = new ClientCertificates(file, (fault) => assert.fail(fault));
  const leaving = await Served.start({ clock, certificates }, made.server);
  const agent = agentOf(made.alice);
  assert.equal((await whoAmI(leaving.server.url, { agent })).code, 201);
  const left = leaving.server.handOn();
  const { code, message } = await whoAmI(leaving.server.url, { agent });
  assert.deepEqual([code, message], [503, "the server restarts; ask again"]);
  agent.destroy();
  await left;
  await leaving.stop();
});

const FILES = [
  ["", /^f:1:1: holds no certificate/],
  ["some text\n", /^f:1:1: holds no certificate/],
  ["a\nb\n-----BEGIN CERTIFICATE-----\nAAAA\n", /^f:3:1: the certificate has no end$/],
  [
    "a\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    /^f:2:1: the certificate cannot be read: /,
  ],
] as const;

for (const [text, why] of FILES) {
  test(`a file of authorities is refused: ${JSON.stringify(text)}`, () => {
    const fault = parseAuthorities(text, "f");
    assert.ok(typeof fault === "string");
    assert.match(fault, why);
  });
}
