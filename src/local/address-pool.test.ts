import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressPool } from "./address-pool.ts";
import type { ClaimAddress, ListenProbe } from "./address-pool.ts";

const always: ListenProbe = () => Promise.resolve(true);
const unclaimed: ClaimAddress = () => Promise.resolve({ release: () => undefined });

const pool = (canListen: ListenProbe, claim = unclaimed): AddressPool =>
  new AddressPool({ podPrefix: "127.10", appPrefix: "127.20", portOffset: 0, canListen, claim });

test("each pod has its own address, its app another with a port nobody else has", async () => {
  const addresses = pool(always);
  assert.deepEqual(await addresses.allocate([8000]), {
    podIp: "127.10.0.1",
    inbound: [{ containerPort: 8000, listenPort: 8000, appAddress: "127.20.0.1", appPort: 20_000 }],
    outbound: { address: "127.20.0.1", port: 20_001 },
  });
  const second = await addresses.allocate([8000, 9000, 8000]);
  assert.equal(second.podIp, "127.10.0.2");
  assert.deepEqual(
    second.inbound.map(({ appPort }) => appPort),
    [20_002, 20_003],
  );
});

test("an address whose port another program has is passed over", async () => {
  const addresses = pool((address, port) =>
    Promise.resolve(!(address === "127.10.0.1" && port === 8000) && port !== 20_000),
  );
  const { podIp, inbound } = await addresses.allocate([8000]);
  assert.equal(podIp, "127.10.0.2");
  assert.equal(inbound[0]?.appPort, 20_001);
});

test("a released address rests before another pod gets it", async () => {
  const addresses = pool(always);
  const first = await addresses.allocate([]);
  addresses.release(first);
  assert.equal((await addresses.allocate([])).podIp, "127.10.0.2");
});

test("without loopback aliases all pods share 127.0.0.1 with distinct ports", async () => {
  const addresses = pool((address) => Promise.resolve(!address.startsWith("127.10.")));
  const [first, second] = [await addresses.allocate([8000]), await addresses.allocate([8000])];
  assert.equal(first.podIp, "127.0.0.1");
  assert.equal(second.podIp, "127.0.0.1");
  const ports = [first, second].flatMap(({ inbound, outbound }) => [
    ...inbound.flatMap(({ listenPort, appPort }) => [listenPort, appPort]),
    outbound?.port,
  ]);
  assert.equal(new Set(ports).size, 6);
});

test("a port that is taken on every address is an error, not an endless search", async () => {
  const addresses = pool((_, port) => Promise.resolve(port !== 8000));
  await assert.rejects(addresses.allocate([8000]), /no free pod address .*8000/);
});

test("two instances that start at once get different addresses until one lets go", async () => {
  const prefixes = { podPrefix: "127.94", appPrefix: "127.95", portOffset: 0, canListen: always };
  const [one, other] = [new AddressPool(prefixes), new AddressPool(prefixes)];
  const both = await Promise.all(
    [one, other, one, other].map((addresses) => addresses.allocate([8000])),
  );
  assert.equal(new Set(both.map(({ podIp }) => podIp)).size, 4);
  both.forEach((address, index) => {
    (index % 2 === 0 ? one : other).release(address);
  });
  const again = new AddressPool(prefixes);
  const first = await again.allocate([8000]);
  assert.equal(first.podIp, "127.94.0.1");
  again.release(first);
});

test("without a sidecar the app has the pod's own address and ports", async () => {
  const pool = new AddressPool({
    ...{ podPrefix: "127.10", appPrefix: "127.20", portOffset: 0 },
    canListen: () => Promise.resolve(true),
    claim: () => Promise.resolve({ release: () => undefined }),
  });
  const address = await pool.allocate([8000], false);
  const { podIp } = address;
  const inbound = [{ containerPort: 8000, listenPort: 8000, appAddress: podIp, appPort: 8000 }];
  assert.deepEqual(address, { podIp: "127.10.0.1", inbound, outbound: null });
  // And a second pod has the same port on another address.
  assert.equal((await pool.allocate([8000], false)).inbound[0]?.appAddress, "127.10.0.2");
  pool.release(address);
});
