import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

/** SHA-256 of the YAML as the article on the hash-tagging plug-in prints it. */
const PUBLISHED = [
  {
    file: "sample.yaml",
    sha256: "c56e51538624bde58d8dfed7883dac0cd4f9fb78d2bfbdaaf2a05701f6b43dd0",
  },
  {
    file: "gateway.yaml",
    sha256: "ecb5f9229d459c43dec31d5558e92889e118b4070bfec4355623ca7512b5c564",
  },
  {
    file: "virtual-service.yaml",
    sha256: "e73ccbff8fe127b5d1dda9941f7789c2f569224e59081a2b57c1c040ede4c7f2",
  },
  { file: "wasm.yaml", sha256: "e1f581907762e2be2211be57ead829a42fd2ce4b44eafdcd07906c8ed221a8e8" },
];

for (const { file, sha256 } of PUBLISHED) {
  test(`asm-hash-tagging/${file} is the published YAML, unmodified`, () => {
    const text = readFileSync(new URL(`asm-hash-tagging/${file}`, import.meta.url));
    assert.equal(createHash("sha256").update(text).digest("hex"), sha256);
  });
}
