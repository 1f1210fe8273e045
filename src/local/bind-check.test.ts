import assert from "node:assert/strict";
import { test } from "node:test";
import { addressInUse, wrongBind } from "./bind-check.ts";
import { parseListening } from "./listening.ts";

const app = { containerPort: 8000, appAddress: "127.20.0.1", appPort: 20_000 };

const binds = [
  { name: "its own address is right", address: "127.20.0.1", port: 20_000, isWrong: false },
  { name: "the wildcard on its own port will do", address: "::", port: 20_000, isWrong: false },
  { name: "the wildcard on the service's port is wrong", address: "::", port: 8000, isWrong: true },
  {
    name: "localhost on the service's port is wrong",
    address: "127.0.0.1",
    port: 8000,
    isWrong: true,
  },
  { name: "another port is the app's own matter", address: "0.0.0.0", port: 9229, isWrong: false },
];

for (const { name, address, port, isWrong } of binds) {
  test(name, () => {
    const fault = wrongBind([{ address, port }], [app]);
    assert.equal(fault !== null, isWrong);
    if (fault !== null) assert.equal(fault.code, "GL0502");
  });
}

const outputs = [
  "Error: listen EADDRINUSE: address already in use 0.0.0.0:8000",
  "OSError: [Errno 98] Address already in use",
  "listen tcp :8000: bind: address already in use",
  "Web server failed to start. Port 8080 was already in use.",
];

for (const output of outputs) {
  test(`an exit with "${output}" is taken for a wrong address`, () => {
    assert.equal(addressInUse(`starting\n${output}\n`, [app])?.reason, "WrongBindAddress");
  });
}

test("another exit is not", () => {
  assert.equal(addressInUse("TypeError: x is not a function\n", [app]), null);
});

test("listening sockets are read from the kernel's table", () => {
  const row = (local: string, state: string, inode: number): string =>
    ` 0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 0 0 ${inode} 1`;
  const table = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode",
    row("0500147F:4E20", "0A", 7),
    row("00000000000000000000000000000000:1F40", "0A", 8),
    row("0000000000000000FFFF00000100007F:1F41", "0A", 9),
    row("0100007F:1F42", "01", 7),
    row("0100007F:1F43", "0A", 99),
  ].join("\n");
  assert.deepEqual(parseListening(table, new Set(["7", "8", "9"])), [
    { address: "127.20.0.5", port: 20_000 },
    { address: "::", port: 8000 },
    { address: "127.0.0.1", port: 8001 },
  ]);
});
