import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { member } from "../../resources/kinds/member.ts";
import type { Resource } from "../../resources/object.ts";
import { messageOf, Served, TOKEN } from "../testing/served.ts";
import { AccountTokens, ensureAccountKeys } from "./account-tokens.ts";

const ACCOUNTS = "/api/v1/namespaces/a/serviceaccounts";
const REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
const SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

const directory = mkdtempSync(join(tmpdir(), "graylane-accounts-"));
let clock: FakeClock;
let served: Served;
let account: Resource;

function keysOf(where: string): AccountTokens {
  const accounts = ensureAccountKeys(where);
  assert.ok(accounts instanceof AccountTokens);
  return accounts;
}

before(() => {
  keysOf(directory);
});

after(() => {
  rmSync(directory, { recursive: true });
});

beforeEach(async () => {
  clock = new FakeClock();
  served = await Served.start({ clock, accounts: keysOf(directory) });
  account = await served.demand({
    ...{ method: "POST", path: ACCOUNTS, body: { metadata: { name: "robot" } } },
  });
});

afterEach(async () => {
  await served.stop();
});

async function tokenFor(spec: object = {}, name = "robot"): Promise<string> {
  const path = `${ACCOUNTS}/${name}/token`;
  const answer = await served.demand({ method: "POST", path, body: { spec } });
  return String(member(answer.status, "token"));
}

async function whoIs(token: string): Promise<unknown> {
  const answer = await served.demand({ method: "POST", path: SELF, token, body: {} });
  return member(answer.status, "userInfo");
}

async function refusal(token: string): Promise<string> {
  const answer = await served.send({ method: "POST", path: SELF, token, body: {} });
  return `${answer.code} ${messageOf(answer)}`;
}

function remove(path: string): Promise<Resource> {
  return served.demand({ method: "DELETE", path });
}

test("a token is its account's, with groups and the credential's id", async () => {
  const token = await tokenFor();
  const claims: unknown = JSON.parse(
    Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
  );
  assert.deepEqual(await whoIs(token), {
    username: "system:serviceaccount:a:robot",
    uid: account.metadata.uid,
    groups: ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
    extra: {
      "authentication.kubernetes.io/credential-id": [`JTI=${String(member(claims, "jti"))}`],
    },
  });
  const seconds = Number(member(claims, "exp")) - Number(member(claims, "iat"));
  assert.deepEqual([seconds, member(claims, "aud")], [3_600, ["graylane"]]);
});

test("it may do what a role binding says of the account", async () => {
  const path = "/api/v1/namespaces/a/configmaps";
  const token = await tokenFor();
  assert.equal((await served.send({ path, token })).code, 403);
  await served.demand({
    method: "POST",
    path: "/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings",
    body: {
      metadata: { name: "robot" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ kind: "ServiceAccount", name: "robot", namespace: "a" }],
    },
  });
  assert.equal((await served.send({ path, token })).code, 200);
  assert.equal((await served.send({ path: path.replace("/a/", "/b/"), token })).code, 403);
});

describe("a token is refused", () => {
  test("when it has expired, a minute for the clocks aside", async () => {
    const token = await tokenFor({ expirationSeconds: 600 });
    clock.advance(659_000);
    assert.equal(typeof (await whoIs(token)), "object");
    clock.advance(2_000);
    assert.equal(await refusal(token), "401 service account token has expired");
  });

  test("when its account is deleted, and is not another one's of that name", async () => {
    const token = await tokenFor();
    await remove(`${ACCOUNTS}/robot`);
    assert.equal(await refusal(token), "401 service account a/robot has been deleted");
    await served.demand({
      ...{ method: "POST", path: ACCOUNTS, body: { metadata: { name: "robot" } } },
    });
    assert.match(await refusal(token), /^401 service account UID .* does not match claim/);
  });

  test("when what it is bound to is deleted", async () => {
    const path = "/api/v1/namespaces/a/secrets";
    await served.demand({ method: "POST", path, body: { metadata: { name: "s" } } });
    const ref = { apiVersion: "v1", kind: "Secret", name: "s" };
    const token = await tokenFor({ boundObjectRef: ref });
    assert.equal(typeof (await whoIs(token)), "object");
    await remove(`${path}/s`);
    assert.equal(await refusal(token), "401 service account token has been invalidated");
  });

  test("when it is for others", async () => {
    const token = await tokenFor({ audiences: ["vault"] });
    assert.match(await refusal(token), /^401 token audiences \["vault"\] is invalid/);
  });

  test("when a character of it is another one", async () => {
    const [head = "", body = "", signature = ""] = (await tokenFor()).split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;
    const forged = Buffer.from(JSON.stringify({ ...claims, jti: "x" })).toString("base64url");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    for (const token of [
      `${head}.${forged}.${signature}`,
      `${head}.${body}.${signature.slice(2)}`,
      `${head}.${body}.`,
      `${none}.${body}.${signature}`,
    ]) {
      assert.match(await refusal(token), /^401 (the bearer token is wrong|a bearer token)/, token);
    }
  });

  test("when another server has signed it", async () => {
    const other = new AccountTokens(
      (() => {
        const { privateKey: own, publicKey: open } = generateKeyPairSync("ec", {
          namedCurve: "prime256v1",
        });
        return [{ id: "other", own, open }];
      })(),
    );
    const { uid = "" } = account.metadata;
    const issued = { account: { namespace: "a", name: "robot", uid }, bound: null };
    const token = other.issue({ ...issued, audiences: ["graylane"], seconds: 600 }, clock.nowMs());
    assert.match(await refusal(token), /^401 the bearer token is wrong/);
  });
});

const WRONG: readonly (readonly [string, object, number, RegExp])[] = [
  ["too short", { expirationSeconds: 599 }, 422, /duration less than 10 minutes$/],
  ["too long", { expirationSeconds: 2 ** 32 + 1 }, 422, /duration larger than 2\^32 seconds$/],
  ["no number", { expirationSeconds: "1h" }, 400, /must be an integer/],
  ["an audience that is no text", { audiences: [1] }, 400, /spec\.audiences/],
  [
    ...([
      "what it cannot be bound to",
      { boundObjectRef: { kind: "Node", apiVersion: "v1" } },
    ] as const),
    ...([400, /cannot bind token to object of type \/v1, Kind=Node/] as const),
  ],
  [
    ...(["what is not there", { boundObjectRef: { kind: "Secret", name: "x" } }] as const),
    ...([404, /secrets\/a\/x was not found/] as const),
  ],
];
for (const [what, spec, code, says] of WRONG) {
  test(`no token for ${what}`, async () => {
    const path = `${ACCOUNTS}/robot/token`;
    const answer = await served.send({ method: "POST", path, body: { spec } });
    assert.equal(answer.code, code);
    assert.match(messageOf(answer), says);
  });
}

test("no token for an account that is not there, or is another one", async () => {
  const asked = { method: "POST", body: { metadata: { uid: "other" } } };
  assert.equal((await served.send({ ...asked, path: `${ACCOUNTS}/none/token` })).code, 404);
  assert.equal((await served.send({ ...asked, path: `${ACCOUNTS}/robot/token` })).code, 409);
});

test("a review says whose a token is, for which audiences, or why it is not good", async () => {
  const review = async (spec: object): Promise<unknown> =>
    (await served.demand({ method: "POST", path: REVIEWS, body: { spec } })).status;
  const token = await tokenFor({ audiences: ["vault", "other"] });
  const good = await review({ token, audiences: ["vault", "x"] });
  assert.deepEqual(member(good, "audiences"), ["vault"]);
  assert.equal(member(good, "user", "username"), "system:serviceaccount:a:robot");
  const bad = await review({ token });
  assert.deepEqual([member(bad, "authenticated"), member(bad, "user")], [undefined, {}]);
  assert.match(String(member(bad, "error")), /is invalid for the target audiences/);
  assert.deepEqual(member(await review({ token: TOKEN }), "authenticated"), true);
  const none = await served.send({ method: "POST", path: REVIEWS, body: { spec: {} } });
  assert.equal(none.code, 400);
});

test("a review says what another user may do", async () => {
  const ask = async (spec: object): Promise<unknown> => {
    const attributes = { verb: "get", resource: "configmaps", namespace: "a" };
    const body = { spec: { resourceAttributes: attributes, ...spec } };
    const { code, text } = await served.send({ method: "POST", path: ACCESS, body });
    return code === 201 ? member(JSON.parse(text), "status", "allowed") : code;
  };
  assert.equal(await ask({ user: "nobody" }), false);
  assert.equal(await ask({ groups: ["system:masters"] }), true);
  assert.equal(await ask({}), 422);
});

describe("the key", () => {
  test("is for its owner only, and the same after another start", async () => {
    assert.equal(statSync(join(directory, "service-account.key")).mode & 0o777, 0o600);
    const token = await tokenFor();
    const given = { store: served.store, nowMs: clock.nowMs(), audiences: ["graylane"] };
    assert.equal(typeof keysOf(directory).recognize(token, given), "object");
  });

  test("may stand behind a new one, which signs from then on", async () => {
    const where = mkdtempSync(join(directory, "rotated-"));
    const old = readFileSync(join(directory, "service-account.key"), "utf8");
    keysOf(where);
    const path = join(where, "service-account.key");
    writeFileSync(path, readFileSync(path, "utf8") + old);
    const token = await tokenFor();
    const given = { store: served.store, nowMs: clock.nowMs(), audiences: ["graylane"] };
    assert.equal(typeof keysOf(where).recognize(token, given), "object");
    const { uid = "" } = account.metadata;
    const issued = { account: { namespace: "a", name: "robot", uid }, bound: null };
    const next = keysOf(where).issue({ ...issued, audiences: ["graylane"], seconds: 600 }, 0);
    assert.equal(keysOf(directory).recognize(next, given), null);
  });

  test("is never replaced: a file with a fault says what is wrong", () => {
    const where = mkdtempSync(join(directory, "wrong-"));
    const path = join(where, "service-account.key");
    writeFileSync(path, "no key");
    assert.equal(ensureAccountKeys(where), `${path}: holds no private key (PEM)`);
    const { privateKey } = generateKeyPairSync("ed25519");
    writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }));
    assert.equal(ensureAccountKeys(where), `${path}: a key is not an elliptic one of P-256`);
    assert.equal(readFileSync(path, "utf8").includes("PRIVATE KEY"), true);
  });
});
