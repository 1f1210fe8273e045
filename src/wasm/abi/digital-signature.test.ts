import assert from "node:assert/strict";
import { generateKeyPairSync, verify } from "node:crypto";
import { test } from "node:test";
import { FuelGauge } from "../fuel/gauge.ts";
import { Status } from "../enums.ts";
import type { Vm } from "../vm.ts";
import { signText, verifySignature } from "./digital-signature.ts";
import { decodeBytesFields, encodeFields } from "./protobuf.ts";

const VM = { gauge: new FuelGauge({ wallMs: () => 0, cpuMs: () => 0 }) } as unknown as Vm;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const TEXT = bytes("x".repeat(300));

const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const privateDer = rsa.privateKey.export({ type: "pkcs8", format: "der" });
const publicDer = rsa.publicKey.export({ type: "spki", format: "der" });
const privatePem = rsa.privateKey.export({ type: "pkcs8", format: "pem" }) as string;
const publicPem = rsa.publicKey.export({ type: "spki", format: "pem" }) as string;

type Pairs = readonly (readonly [number, Uint8Array])[];

function answer(result: Uint8Array | Status): ReadonlyMap<number, Uint8Array> {
  assert.ok(typeof result !== "number", `status ${String(result)}`);
  return decodeBytesFields(result) ?? assert.fail("no message");
}

function signed(pairs: Pairs): Uint8Array {
  return answer(signText(VM, encodeFields(pairs))).get(2) ?? bytes("");
}

for (const [claim, key] of [
  ["DER", [2, privateDer]],
  ["PEM", [4, bytes(privatePem)]],
] as const) {
  test(`a signature by a key in ${claim} is right, and verified by keys in both forms`, () => {
    const signature = signed([[1, bytes("sha256")], key, [3, TEXT]]);
    assert.ok(verify("sha256", TEXT, rsa.publicKey, signature));
    const common = [
      [1, bytes("SHA256")],
      [3, signature],
    ] as const;
    for (const publicKey of [[2, publicDer] as const, [5, bytes(publicPem)] as const]) {
      const check = (text: Uint8Array): Uint8Array | Status =>
        verifySignature(VM, encodeFields([...common, publicKey, [4, text]]));
      assert.deepEqual(check(TEXT), Uint8Array.of(8, 1));
      const wrong = answer(check(bytes("y"))).get(2) ?? bytes("");
      assert.match(Buffer.from(wrong).toString(), /^Failed to verify digest/);
    }
  });
}

test("a hash that is not there is an answer with a reason, no error", () => {
  const result = answer(
    signText(
      VM,
      encodeFields([
        [1, bytes("md5")],
        [2, privateDer],
      ]),
    ),
  );
  assert.equal(Buffer.from(result.get(3) ?? "").toString(), "md5 is not supported.");
});

const REFUSED: Readonly<Record<string, Uint8Array>> = {
  "no message": bytes("\xff"),
  "no key": encodeFields([[1, bytes("sha256")]]),
  "two keys": encodeFields([
    [2, privateDer],
    [4, bytes(privatePem)],
    [5, bytes(publicPem)],
  ]),
  "too much": new Uint8Array(2 * 1024 * 1024),
};

for (const [claim, input] of Object.entries(REFUSED)) {
  test(`${claim} is refused`, () => {
    assert.equal(signText(VM, input), Status.badArgument);
    assert.equal(verifySignature(VM, input), Status.badArgument);
  });
}

const NO_KEYS: Readonly<Record<string, Pairs[number]>> = {
  nonsense: [2, bytes("abc")],
  "the other one": [4, bytes(publicPem)],
  "a key that is too long": [2, new Uint8Array(10_000)],
};

for (const [claim, key] of Object.entries(NO_KEYS)) {
  test(`for ${claim} in place of a private key the result is an error`, () => {
    const result = answer(signText(VM, encodeFields([[1, bytes("sha256")], key])));
    assert.match(Buffer.from(result.get(3) ?? "").toString(), /private key required/);
  });
}

test("a private key verifies nothing", () => {
  const input = encodeFields([
    [1, bytes("sha256")],
    [5, bytes(privatePem)],
  ]);
  const result = answer(verifySignature(VM, input));
  assert.equal(Buffer.from(result.get(2) ?? "").toString(), "Failed to initialize digest verify.");
});

test("fields of every wire type are stepped over, and cut ones refused", () => {
  const message = Uint8Array.of(8, 0xac, 2, 17, 1, 2, 3, 4, 5, 6, 7, 8, 29, 1, 2, 3, 4, 34, 1, 65);
  assert.deepEqual(decodeBytesFields(message), new Map([[4, Uint8Array.of(65)]]));
  for (let end = 1; end < message.length; end++) {
    const cut = decodeBytesFields(message.subarray(0, end));
    assert.ok(cut === null || cut.size === 0, `cut at ${end}`);
  }
});
