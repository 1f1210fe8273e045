//! A process that serves the API with a store and an audit log on the disk, to be killed:
//! `node audited-server.js DIRECTORY TOKEN [HASTE]`. It says its address on standard output. What
//! the API waits for comes `HASTE` times as early: bookmarks, time limits.

import { join } from "node:path";
import { systemClock, type Clock } from "../../base/clock.ts";
import { openStore } from "../../controlplane/store/open-store.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { endLastLine, LineWriter, openFileSink } from "../../telemetry/line-writer.ts";
import { startApiServer } from "../api-server.ts";
import { KubernetesMessages } from "../protobuf/kubernetes-messages.ts";

const [directory = "", token = "", haste = "1"] = process.argv.slice(2);
const clock: Clock = {
  ...systemClock,
  after: (delayMs, run, options) => systemClock.after(delayMs / Number(haste), run, options),
};
const log = join(directory, "audit.log");
endLastLine(log);
const audit = new LineWriter(await openFileSink(log), systemClock);
const nothing = (): never => {
  throw new Error("not served here");
};
const server = await startApiServer(
  {
    ...{
      store: openStore({ directory, clock: systemClock }),
      clock,
      token,
      messages: new KubernetesMessages("generated/kubernetes-api/messages.json"),
      logger: silentLogger,
      audit,
    },
    ...{ recent: nothing, explain: nothing, analyze: nothing, runtimeStatus: nothing },
    ...{ podLog: nothing, pluginLog: nothing, configDump: nothing, shutdown: nothing },
  },
  { host: "127.0.0.1", port: 0 },
);
process.stdout.write(`${server.url}\n`);
