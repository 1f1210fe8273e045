import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTokenFile } from "./token-file.ts";

const GOOD = [
  ["a,alice,1", "alice", "1", ["system:authenticated"]],
  ['a,alice,1,"devs,ops"', "alice", "1", ["devs", "ops", "system:authenticated"]],
  [' a , alice , 1 , "devs" ', "alice", "1", ["devs", "system:authenticated"]],
  ['a,"ali""ce, the first",,', 'ali"ce, the first', "", ["system:authenticated"]],
  ["# a comment\r\n\r\na,alice,1\r\n", "alice", "1", ["system:authenticated"]],
  [
    "a,system:serviceaccount:shop:robot,1",
    "system:serviceaccount:shop:robot",
    "1",
    ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
  ],
] as const;

for (const [text, name, uid, groups] of GOOD) {
  test(`a file of tokens is read: ${JSON.stringify(text)}`, () => {
    const users = parseTokenFile(text, "f");
    assert.ok(typeof users !== "string");
    assert.deepEqual([...users.values()], [{ name, uid, groups }]);
    assert.equal([...users.keys()].includes("a"), false, "tokens are not kept");
  });
}

const BAD = [
  ["secret,alice", /^f:1:1: must be token,user,uid .* has 2 fields$/],
  ["secret,a,1,g,h", /^f:1:1: must be .* has 5 fields$/],
  ['secret,alice,1,"devs', /^f:1:16: a quotation mark/],
  ['secret,ali"ce,1', /^f:1:8: a quotation mark/],
  ["a,alice,1\n,bob,2", /^f:2:1: the token must be/],
  ["se cret,alice,1", /^f:1:1: the token must be/],
  ["secret,,1", /^f:1:1: the user's name is empty/],
  ["secret,a\tb,1", /^f:1:1: a field has a control character/],
  [`secret,${"a".repeat(2_000)},1`, /^f:1:1: a field is longer/],
  ["secret,alice,1\nsecret,bob,2", /^f:2:1: the token stands in another line, too/],
  ["\n".repeat(20_000), /^f: has more than 10000 lines/],
] as const;

for (const [text, why] of BAD) {
  test(`a file of tokens is refused: ${JSON.stringify(text.slice(0, 40))}`, () => {
    const fault = parseTokenFile(text, "f");
    assert.ok(typeof fault === "string");
    assert.match(fault, why);
    assert.equal(fault.includes("secret"), false, "a message tells no token");
  });
}
