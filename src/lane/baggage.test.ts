import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import {
  BAGGAGE_BYTES_MAX,
  BAGGAGE_MEMBERS_MAX,
  baggageValue,
  removeBaggage,
  setBaggage,
} from "./baggage.ts";

const reads = [
  { name: "a lone member", field: "lane=gray", want: "gray" },
  { name: "one among others", field: "user=4711, lane=gray ,x=y", want: "gray" },
  { name: "white space around the equals sign", field: "lane \t= gray", want: "gray" },
  { name: "properties are passed over", field: "lane=gray;ttl=3 ; public", want: "gray" },
  { name: "percent-encoded UTF-8", field: "lane=%E7%81%B0%20b", want: "灰 b" },
  { name: "escapes that are no UTF-8", field: "lane=a%FFb", want: "a\ufffdb" },
  { name: "a lone percent sign stays", field: "lane=100%", want: "100%" },
  { name: "an equals sign within the value", field: "lane=a=b", want: "a=b" },
  { name: "an empty value", field: "lane=", want: "" },
  { name: "of two members the first", field: "lane=a,lane=b", want: "a" },
  { name: "text that is no member is passed over", field: "nonsense,,=,lane=a", want: "a" },
  { name: "a name that only begins alike", field: "lane2=b,my-lane=c", want: undefined },
  { name: "names are told apart by case", field: "Lane=b", want: undefined },
  { name: "a name within another's value", field: "x=lane", want: undefined },
  { name: "nothing", field: "", want: undefined },
];

for (const { name, field, want } of reads) {
  test(`reads ${name}`, () => {
    assert.equal(baggageValue(field, "lane"), want);
  });
}

const edits = [
  { name: "an empty field", field: "", want: "lane=gray" },
  { name: "the member goes first", field: "a=b;p=1,c=d", want: "lane=gray,a=b;p=1,c=d" },
  { name: "an old value and its doubles go", field: "lane=x,a=b,lane=y;p", want: "lane=gray,a=b" },
  { name: "what is no member stays as it is", field: "odd, a=%zz", want: "lane=gray,odd,a=%zz" },
];

for (const { name, field, want } of edits) {
  test(`sets: ${name}`, () => {
    assert.deepEqual(setBaggage(field, "lane", "gray"), { field: want, droppedCount: 0 });
  });
}

test("a value is encoded so that it comes back, whatever it holds", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 20 }), (value) => {
      const { field } = setBaggage("a=b", "lane", value);
      assert.match(field, /^lane=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*,a=b$/);
      assert.equal(baggageValue(field, "lane"), value);
    }),
  );
});

test("the 65th member is dropped, the lane's is kept, and it is counted", () => {
  const others = Array.from({ length: BAGGAGE_MEMBERS_MAX }, (_, index) => `k${index}=v`);
  const { field, droppedCount } = setBaggage(others.join(","), "lane", "gray");
  assert.equal(droppedCount, 1);
  assert.equal(field, ["lane=gray", ...others.slice(0, -1)].join(","));
});

test("members over 8,192 bytes are dropped whole, from the first that does not fit", () => {
  const big = `big=${"x".repeat(BAGGAGE_BYTES_MAX - "lane=gray,".length - "big=".length)}`;
  assert.deepEqual(setBaggage(big, "lane", "gray"), { field: `lane=gray,${big}`, droppedCount: 0 });
  const over = setBaggage(`a=b,${big},c=d`, "lane", "gray");
  assert.deepEqual(over, { field: "lane=gray,a=b", droppedCount: 2 });
});

test("the limits hold, and no member is cut, whatever comes", () => {
  const member = fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.nat({ max: 400 }));
  fc.assert(
    fc.property(fc.array(member, { maxLength: 120 }), (members) => {
      const texts = members.map(([key, length]) => `${key}=${"v".repeat(length)}`);
      const { field, droppedCount } = setBaggage(texts.join(","), "lane.group", "gray");
      const kept = field.split(",");
      assert.ok(field.length <= BAGGAGE_BYTES_MAX && kept.length <= BAGGAGE_MEMBERS_MAX);
      assert.deepEqual(kept.slice(1), texts.slice(0, kept.length - 1));
      assert.equal(droppedCount, texts.length - kept.length + 1);
    }),
  );
});

const removals = [
  { field: "lane=gray", want: "" },
  { field: "a=b, lane=gray;p=1 ,c=d", want: "a=b,c=d" },
  { field: "lane=x,lane.b=y,a=b", want: "a=b" },
  { field: "a=b ,  x=lane", want: "a=b ,  x=lane" },
  { field: "", want: "" },
];

for (const { field, want } of removals) {
  test(`removes the lane's members from "${field}"`, () => {
    assert.equal(removeBaggage(field, ["lane", "lane.b"]), want);
  });
}
