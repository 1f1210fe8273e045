//! A writer for the crash test: writes one object after the other and tells each acknowledgement.

import { systemClock } from "../../base/clock.ts";
import { openStore } from "./open-store.ts";
import { configMap } from "./store-cases.ts";

const [directory = "", from = "0"] = process.argv.slice(2);
const store = openStore({ directory, clock: systemClock });
for (let at = Number(from) + 1; ; at += 1) {
  const result = await store.create(configMap(`w${at}`, "x".repeat(2_000)));
  if (!result.ok) throw new Error(result.message);
  process.send?.(at);
}
