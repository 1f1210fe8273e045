//! Imported by a worker that is to be profiled: takes a CPU profile of V8 between two SIGUSR2.
//!
//! `GRAYLANE_PROFILE` is the file for it; `FILE.pid` says which process takes it.

import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { basename } from "node:path";

const SAMPLE_MICROSECONDS = 200;
const file = process.env["GRAYLANE_PROFILE"] ?? "";
if (basename(process.argv[1] ?? "") === "worker.js" && file !== "") {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: SAMPLE_MICROSECONDS });
  let isOn = false;
  process.on("SIGUSR2", () => {
    isOn = !isOn;
    if (isOn) session.post("Profiler.start");
    else {
      session.post("Profiler.stop", (error, result) => {
        writeFileSync(file, JSON.stringify(error ?? result.profile));
      });
    }
  });
  writeFileSync(`${file}.pid`, String(process.pid));
}
