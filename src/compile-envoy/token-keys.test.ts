import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { envoyKeys } from "./token-keys.ts";

const RSA = publicKey("rsa", { modulusLength: 2_048 });
const SHORT = publicKey("rsa", { modulusLength: 1_024 });
const P256 = publicKey("ec", { namedCurve: "P-256" });
const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

function publicKey(kind: "rsa" | "ec", options: object): object {
  const made =
    kind === "rsa"
      ? generateKeyPairSync("rsa", options as { modulusLength: number })
      : generateKeyPairSync("ec", options as { namedCurve: string });
  return made.publicKey.export({ format: "jwk" });
}

const cases = [
  {
    name: "a key without an algorithm is for all of its kind",
    keys: [{ ...RSA, kid: "a" }],
    choices: [{ kid: "a", algorithms: RSA_ALGORITHMS, isUsable: true }],
    sent: [{ ...RSA, kid: "a" }],
  },
  {
    name: "a key without an id gets one that no token can choose",
    keys: [{ ...P256, kid: "a" }, P256],
    choices: [
      { kid: "a", algorithms: ["ES256"], isUsable: true },
      { algorithms: ["ES256"], isUsable: true },
    ],
    sent: [
      { ...P256, kid: "a" },
      { ...P256, kid: "graylane-without-kid-1" },
    ],
  },
  {
    name: "a key for one algorithm is sent so",
    keys: [{ ...RSA, kid: "a", alg: "PS384" }],
    choices: [{ kid: "a", algorithms: ["PS384"], isUsable: true }],
    sent: [{ ...RSA, kid: "a", alg: "PS384" }],
  },
  {
    name: "a short key, and one that cannot be read, can be chosen and verify nothing",
    keys: [
      { ...SHORT, kid: "a" },
      { kty: "EC", crv: "P-256", kid: "b", x: "AA", y: "AA" },
    ],
    choices: [
      { kid: "a", algorithms: RSA_ALGORITHMS, isUsable: false },
      { kid: "b", algorithms: ["ES256"], isUsable: false },
    ],
    sent: null,
  },
  {
    name: "keys for something else, shared secrets and other curves are left out",
    keys: [
      { ...RSA, use: "enc" },
      { ...RSA, key_ops: ["encrypt"] },
      { ...RSA, alg: "HS256" },
      { kty: "oct", k: "AAAA" },
      { ...P256, crv: "secp256k1" },
    ],
    choices: [],
    sent: null,
  },
] as const;

for (const { name, keys, choices, sent } of cases) {
  test(name, () => {
    const made = envoyKeys(JSON.stringify({ keys }));
    assert.deepEqual(made.choices, choices);
    assert.deepEqual(made.jwks === null ? null : JSON.parse(made.jwks), sent && { keys: sent });
  });
}

test("a private key is sent to nobody", () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const made = envoyKeys(JSON.stringify({ keys: [privateKey.export({ format: "jwk" })] }));
  assert.equal(made.jwks, null);
});

for (const text of ["", "null", "{}", '{"keys":1}', '{"keys":[1]}']) {
  test(`a text that is no key set has no keys: ${text}`, () => {
    assert.deepEqual(envoyKeys(text), { jwks: null, choices: [] });
  });
}

test("a key of a curve that Envoy does not have is refused", () => {
  const { publicKey: key } = generateKeyPairSync("ed448");
  assert.throws(
    () => envoyKeys(JSON.stringify({ keys: [key.export({ format: "jwk" })] })),
    /claims by a key of Ed448/,
  );
});
