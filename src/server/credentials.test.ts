import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ensureToken, isSameToken, writeClientFile } from "./credentials.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-token-"));
after(() => {
  rmSync(directory, { recursive: true });
});

test("the token has 32 bytes, is kept, and only its owner may read it", () => {
  const token = ensureToken(directory);
  assert.match(token, /^[0-9a-f]{64}$/);
  assert.equal(ensureToken(directory), token);
  assert.equal(statSync(join(directory, "admin.token")).mode & 0o777, 0o600);
});

test("the client file says where the server is, to its owner only", () => {
  writeClientFile(directory, { server: "http://127.0.0.1:1", token: "t" });
  const path = join(directory, "client.json");
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), {
    server: "http://127.0.0.1:1",
    token: "t",
  });
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("tokens are compared whole", () => {
  assert.ok(isSameToken("abc", "abc"));
  for (const wrong of ["", "ab", "abcd", "abd"]) assert.ok(!isSameToken(wrong, "abc"));
});
