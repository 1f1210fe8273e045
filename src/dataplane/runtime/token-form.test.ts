import assert from "node:assert/strict";
import { test } from "node:test";
import { isWellFormed } from "./token-form.ts";

const HEADER = '{"alg":"RS256","kid":"a"}';

function made(header: string | Buffer, claims: string | Buffer, signature = "AAAA"): string {
  const parts = [header, claims].map((part) => Buffer.from(part).toString("base64url"));
  return [...parts, signature].join(".");
}

const cases: readonly (readonly [name: string, token: string, isGood: boolean])[] = [
  ["an empty set of claims is one", made(HEADER, "{}"), true],
  ["names and texts may hold colons, quotes and braces", claims('"a:\\"{":"\\\\\\":{}"'), true],
  ["a name like that of a prototype is a member", claims('"__proto__":{"a":1}'), true],
  ["one of those twice is refused", claims('"__proto__":1,"__proto__":2'), false],
  ["a name twice is refused", claims('"a":1,"a":1'), false],
  ["a name twice in a list is refused", claims('"a":[{"b":1,"b":1}]'), false],
  ["one name at two places is none twice", claims('"a":{"a":1},"b":{"a":1}'), true],
  ["a header with a name twice is refused", made('{"alg":"a","alg":"b"}', "{}"), false],
  ["bytes that are no UTF-8 are refused", made(HEADER, Buffer.from([0x22, 0xff])), false],
  ["half of a surrogate pair is refused in a name", claims('"\\udfff":1'), false],
  ["two parts are refused", "e30.e30", false],
  ["an empty signature is refused", made(HEADER, "{}", ""), false],
  ["padding is refused", made(HEADER, "{}", "AA=="), false],
  ["the letters of base64 are refused", made(HEADER, "{}", "+/+/"), false],
  ["bits that mean nothing are refused", made(HEADER, "{}", "AB"), false],
  ["an extension that must be understood is refused", made('{"crit":[]}', "{}"), false],
  ["a key's id that is no text is refused", made('{"kid":null}', "{}"), false],
  ["dates are numbers from 1970 on", claims('"exp":0,"nbf":1.5,"iat":1e19'), true],
  ["a date of 2^64 is refused", claims('"exp":18446744073709551616'), false],
  ["a date before 1970 is refused", claims('"iat":-1'), false],
  ["a date that is a text is refused", claims('"nbf":"1"'), false],
  ["a subject that is no text is refused", claims('"sub":null'), false],
  ["audiences are texts", claims('"aud":["a","b"]'), true],
  ["an audience that is none is refused", claims('"aud":[null]'), false],
  ["a list is no set of claims", made(HEADER, "[]"), false],
];

function claims(members: string): string {
  return made(HEADER, `{${members}}`);
}

for (const [name, token, isGood] of cases) {
  test(name, () => {
    assert.equal(isWellFormed(token), isGood);
  });
}
