import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { KeyResolver, REFRESH_MS } from "./key-resolver.ts";
import { RETRY_MS_MIN } from "./kept-answers.ts";

const URI = "https://id.test/keys";
const A = '{"kty":"EC","kid":"a"}';
const B = '{"kty":"RSA","kid":"b"}';

class World {
  readonly clock = new FakeClock();
  /** What the address answers; null: it does not. */
  text: string | null;
  changes = 0;
  readonly resolver = new KeyResolver({
    clock: this.clock,
    fetchKeys: () =>
      this.text === null ? Promise.reject(new Error("away")) : Promise.resolve(this.text),
    onChange: () => {
      this.changes += 1;
    },
  });

  constructor(text: string | null) {
    this.text = text;
  }

  async answer(): Promise<unknown> {
    return (await this.resolver.resolve([URI])).get(URI);
  }

  async later(delayMs: number): Promise<void> {
    this.clock.advance(delayMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

for (const [title, text, jwks, fault] of [
  ["a set is had in a settled order", `{"keys":[${B},${A}]}`, `{"keys":[${A},${B}]}`, ""],
  [
    "secrets and private keys are left out",
    `{"keys":[{"kty":"oct","k":"AA"},{"kty":"OKP","d":"AA"},${A}]}`,
    `{"keys":[${A}]}`,
    "",
  ],
  ["nothing but secrets is none", '{"keys":[{"kty":"oct","k":"A"}]}', null, /no public key/],
  ["no JSON is none", "<html>", null, /no key set/],
  ["another document is none", '{"key":1}', null, /no key set/],
  ["too many keys are none", `{"keys":[${Array(101).fill(A).join()}]}`, null, /more than 100/],
  ["an address that does not answer has none", null, null, /^away$/],
] as const satisfies readonly (readonly unknown[])[]) {
  test(title, async () => {
    const world = new World(text);
    const answer = (await world.answer()) as { readonly jwks: unknown; readonly fault: string };
    assert.equal(answer.jwks, jwks);
    assert.match(answer.fault, fault === "" ? /^$/ : fault);
    world.resolver.stop();
  });
}

test("keys are fetched each minute, and the last ones stay while the address is away", async () => {
  const world = new World(`{"keys":[${A}]}`);
  await world.answer();
  const before = world.changes;
  await world.later(REFRESH_MS);
  assert.equal(world.changes, before);
  world.text = null;
  await world.later(REFRESH_MS);
  assert.deepEqual(await world.answer(), { jwks: `{"keys":[${A}]}`, fault: "away" });
  world.text = `{"keys":[${B}]}`;
  await world.later(RETRY_MS_MIN);
  assert.deepEqual(await world.answer(), { jwks: `{"keys":[${B}]}`, fault: "" });
  assert.equal(world.changes, before + 2);
  world.resolver.stop();
});
