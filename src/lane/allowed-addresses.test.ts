import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESSES_MAX, allowedAddresses } from "./allowed-addresses.ts";

const NETWORKS = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"];

const cases = [
  { address: "10.255.0.1", want: true },
  { address: "11.0.0.1", want: false },
  { address: "192.0.2.7", want: true },
  { address: "192.0.2.8", want: false },
  { address: "2001:db8::1", want: true },
  { address: "::ffff:10.1.2.3", want: true },
  { address: "10.1.2.3 ".repeat(20), want: false },
  { address: "localhost", want: false },
  { address: "", want: false },
];
for (const { address, want } of cases) {
  test(`the address '${address}' is ${want ? "in" : "not in"} ${NETWORKS.join(", ")}`, () => {
    const isAllowed = allowedAddresses(NETWORKS);
    assert.equal(isAllowed(address), want);
    assert.equal(isAllowed(address), want, "and it still is when it comes again");
  });
}

test("more addresses than are remembered get the right answer too", () => {
  const isAllowed = allowedAddresses(NETWORKS);
  for (let round = 0; round < 2; round++) {
    for (let host = 0; host < ADDRESSES_MAX + 10; host++) {
      const rest = `${host >> 8}.${host & 255}`;
      assert.equal(isAllowed(`10.0.${rest}`), true);
      assert.equal(isAllowed(`11.0.${rest}`), false);
    }
  }
});
