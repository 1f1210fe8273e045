import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import type { JWK } from "jose";
import { FakeClock } from "../../base/fake-clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { TokenKeys } from "./token-keys.ts";
import { TokenVerifier } from "./token-verifier.ts";

const ISSUER = "https://id.example";
const FROM = { kind: "header", name: "authorization" } as const;

interface Signer {
  readonly jwk: JWK;
  sign(claims: Record<string, unknown>, nowMs: number, forSeconds?: number): Promise<string>;
}

async function signer(kid: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: "ES256" };
  return {
    jwk,
    sign: (claims, nowMs, forSeconds = 600) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", kid })
        .setIssuer(ISSUER)
        .setAudience("shop")
        .setExpirationTime(Math.floor(nowMs / 1_000) + forSeconds)
        .sign(privateKey),
  };
}

const ONE = await signer("one");
const TWO = await signer("two");
const setOf = (...signers: readonly Signer[]): string =>
  JSON.stringify({ keys: signers.map(({ jwk }) => jwk) });
const INLINE = { kind: "inline", jwks: setOf(ONE) } as const;
const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("the claims of a token count once it has been verified, and then at once", async () => {
  const clock = new FakeClock();
  const verifier = new TokenVerifier({ keys: INLINE, from: FROM }, null, clock);
  const token = await ONE.sign({ sub: "4711" }, clock.nowMs());
  assert.equal(verifier.known(token), null);
  assert.equal((await verifier.verify(token)).claims?.sub, "4711");
  assert.equal(verifier.known(token)?.claims?.sub, "4711");
});

test("a token that was verified expires", async () => {
  const clock = new FakeClock();
  const verifier = new TokenVerifier({ keys: INLINE, from: FROM }, null, clock);
  const token = await ONE.sign({}, clock.nowMs(), 60);
  await verifier.verify(token);
  clock.advance(61_000);
  assert.deepEqual(verifier.known(token), { claims: null, fault: "the token is expired" });
  assert.equal((await verifier.verify(token)).fault, "the token is expired");
});

const REFUSED: readonly {
  readonly title: string;
  readonly token: () => string | Promise<string>;
  readonly issuer?: string;
  readonly audience?: string;
  readonly fault: RegExp;
}[] = [
  { title: "text that is none", token: () => "x", fault: /no JWT/ },
  {
    title: "the algorithm none",
    token: () => `${b64({ alg: "none" })}.${b64({ sub: "root" })}.`,
    fault: /no JWT|not accepted/,
  },
  {
    title: "HS256 with the public key as the secret",
    token: () =>
      new SignJWT({ sub: "root" })
        .setProtectedHeader({ alg: "HS256", kid: "one" })
        .sign(Buffer.from(JSON.stringify(ONE.jwk))),
    fault: /not accepted/,
  },
  { title: "another issuer's key", token: () => TWO.sign({}, 0, 1e9), fault: /not known/ },
  {
    title: "changed claims",
    token: async () => {
      const [head = "", , signature = ""] = (await ONE.sign({}, 0, 1e10)).split(".");
      return `${head}.${b64({ sub: "root", exp: 1e10 })}.${signature}`;
    },
    fault: /not signed by the issuer/,
  },
  {
    title: "another issuer's name",
    token: () => ONE.sign({}, 0, 1e10),
    issuer: "https://other.example",
    fault: /the claim iss/,
  },
  {
    title: "another audience",
    token: () => ONE.sign({}, 0, 1e10),
    audience: "bank",
    fault: /the claim aud/,
  },
];

for (const { title, token, issuer, audience, fault } of REFUSED) {
  test(`${title}: no claims, and a reason that holds nothing of the token`, async () => {
    const settings = {
      keys: INLINE,
      from: FROM,
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audiences: [audience] }),
    };
    const verifier = new TokenVerifier(settings, null, new FakeClock());
    const text = await token();
    const outcome = await verifier.verify(text);
    assert.equal(outcome.claims, null);
    assert.match(outcome.fault, fault);
    assert.ok(text.length < 5 || !outcome.fault.includes(text.slice(0, 20)));
    assert.equal(verifier.known(text), null);
  });
}

function remote(answers: readonly (() => Promise<string>)[]) {
  const clock = new FakeClock();
  let count = 0;
  const fetchKeys = (): Promise<string> => {
    count += 1;
    return (answers[Math.min(count, answers.length) - 1] as () => Promise<string>)();
  };
  const keys = new TokenKeys("https://id.example/keys", { fetchKeys, clock, logger: silentLogger });
  const settings = {
    keys: { kind: "remote", uri: "https://id.example/keys" },
    from: FROM,
  } as const;
  return { clock, verifier: new TokenVerifier(settings, keys, clock), fetches: () => count };
}

const gone = (): Promise<string> => Promise.reject(new Error("connect ECONNREFUSED"));
const sets =
  (...signers: readonly Signer[]) =>
  () =>
    Promise.resolve(setOf(...signers));

test("without keys there are no claims, and further tokens wait for nothing", async () => {
  const { clock, verifier, fetches } = remote([gone, sets(ONE)]);
  const token = await ONE.sign({ sub: "1" }, clock.nowMs());
  assert.match((await verifier.verify(token)).fault, /no keys from .*ECONNREFUSED/);
  assert.equal((await verifier.verify(token)).claims, null);
  assert.equal(fetches(), 1);
  clock.advance(1_000);
  assert.equal((await verifier.verify(token)).claims?.sub, "1");
});

test("a key that is not known is fetched, at most every 30 s", async () => {
  const { clock, verifier, fetches } = remote([sets(ONE), sets(ONE, TWO)]);
  const [one, two] = [await ONE.sign({}, clock.nowMs()), await TWO.sign({}, clock.nowMs())];
  assert.notEqual((await verifier.verify(one)).claims, null);
  assert.equal((await verifier.verify(two)).claims, null);
  assert.equal(fetches(), 1);
  clock.advance(30_000);
  assert.notEqual((await verifier.verify(two)).claims, null);
});

test("old keys serve while they cannot be fetched anew, for a day", async () => {
  const { clock, verifier } = remote([sets(ONE), gone]);
  const token = await ONE.sign({ sub: "1" }, clock.nowMs(), 1_000_000);
  await verifier.verify(token);
  clock.advance(300_001);
  assert.equal(verifier.known(token)?.claims?.sub, "1");
  clock.advance(86_400_000);
  assert.equal(verifier.known(token), null);
  assert.match((await verifier.verify(token)).fault, /not verified/);
});
