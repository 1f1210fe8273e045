//! A process for the tests of shared memory: counts a shared number up by compare-and-set, so often
//! or until it is killed, and tells how often it had to try again.

import { openMapped } from "./open-mapped.ts";

const [directory = "", timesText = "0"] = process.argv.slice(2);
const times = Number(timesText);
const reach = { workerId: "writer", later: () => undefined, tell: () => undefined };
const { data } = openMapped(directory, reach);
process.send?.("started");
let retries = 0;
for (let done = 0; times === 0 || done < times;) {
  const before = data.get("vm", "n");
  const value = Buffer.alloc(4);
  value.writeUInt32LE((before === null ? 0 : Buffer.from(before.value).readUInt32LE(0)) + 1);
  if (data.set("vm", "n", { value, cas: before?.cas ?? 0 }) === "ok") done++;
  else retries++;
}
process.send?.(retries);
process.disconnect();
