//! A walk-through of examples/ with real Envoys: one as the gateway, and one for each pod.

import { setTimeout as sleep } from "node:timers/promises";
import { Stage } from "../../examples/walkthrough/stage.ts";
import type { StageEnvoys } from "../../examples/walkthrough/stage.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { stopAll } from "./ending.ts";
import { Envoy } from "./envoy.ts";
import { EnvoySidecars, QUICK_DRAIN } from "./envoy-sidecars.ts";
import { COMMAND } from "./graylane.ts";

const DRAIN_POLL_MS = 50;

export interface EnvoyStage {
  readonly stage: Stage;
  readonly sidecars: EnvoySidecars;
}

export async function startEnvoyStage(
  binary: string,
  example: {
    readonly name: string;
    readonly folder: string;
    readonly deploymentCount: number;
  },
): Promise<EnvoyStage> {
  const [xdsPort, port] = [await freePort(), await freePort()];
  const started: EnvoySidecars[] = [];
  const start = async (stage: Stage): Promise<StageEnvoys> => {
    const bootstrap = async (words: readonly string[]): Promise<string> => {
      const { exitCode, output } = await stage.run(["envoy-bootstrap", ...words]);
      if (exitCode !== 0) throw new Error(output);
      return output;
    };
    const sidecars = new EnvoySidecars(binary, xdsPort, { pods: () => stage.pods(), bootstrap });
    started.push(sidecars);
    const starting = Envoy.start({
      binary,
      concurrency: 2,
      flags: QUICK_DRAIN,
      bootstrap: async (adminPort) => {
        const text = await bootstrap([
          ...["--role", "gateway", "--gateway", "istio=ingressgateway", "--bind", "127.0.0.1"],
          ...["--xds", `127.0.0.1:${xdsPort}`, "--admin", `127.0.0.1:${adminPort}`],
          ...["--map-port", `80=${port}`],
        ]);
        return JSON.parse(text) as object;
      },
    });
    const gateway = await starting.catch(async (error: unknown) => {
      await sidecars.stop();
      throw error;
    });
    return {
      drained: async () => {
        for (const envoy of [gateway, ...sidecars.envoys]) {
          while (await envoy.isDraining()) await sleep(DRAIN_POLL_MS);
        }
      },
      stop: async () => {
        await stopAll([gateway, sidecars]);
      },
    };
  };
  const stage = await Stage.start({
    name: `envoy-${example.name}`,
    command: COMMAND,
    root: process.cwd(),
    files: [example.folder],
    port: 0,
    deploymentCount: example.deploymentCount,
    clock: systemClock,
    words: ["--xds", `127.0.0.1:${xdsPort}`, "--sidecars", "envoy"],
    envoys: { port, start },
  });
  const [sidecars] = started;
  if (sidecars === undefined) throw new Error("no sidecar was started");
  return { stage, sidecars };
}
