import assert from "node:assert/strict";
import { test } from "node:test";
import { IssuedCookies } from "./issued-cookie.ts";

const KEY = { kind: "issuedCookie", name: "graylane-id", maxAgeSeconds: 3_600 } as const;

test("an issued cookie is random, hidden from scripts, and for every path of this site", () => {
  const cookies = new IssuedCookies();
  const id = cookies.issue(KEY) ?? "";
  assert.match(id, /^[A-Za-z0-9_-]{22}$/);
  assert.notEqual(new IssuedCookies().issue(KEY), id);
  const attributes = "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax";
  assert.deepEqual([...cookies.fields(false)], [`graylane-id=${id}; ${attributes}`]);
  assert.deepEqual([...cookies.fields(true)], [`graylane-id=${id}; ${attributes}; Secure`]);
});

test("groups that ask for one name share one id, and the number of cookies is bounded", () => {
  const cookies = new IssuedCookies();
  assert.equal(cookies.issue(KEY), cookies.issue(KEY));
  for (let index = 1; index < 8; index++) cookies.issue({ ...KEY, name: `id-${index}` });
  assert.equal(cookies.issue({ ...KEY, name: "one-too-many" }), undefined);
  assert.equal([...cookies.fields(false)].length, 8);
});
