//! Both walk-throughs, one after the other: `npm start [-- --once] [EXAMPLE...]`.
//!
//! Prints each request with its expected and its actual answer. With --once everything is stopped
//! at the end and the exit code says whether every line was as expected.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../src/base/clock.ts";
import * as asm from "./walkthrough/asm-hash-tagging.ts";
import * as mse from "./walkthrough/mse-order.ts";
import { hangUp } from "./walkthrough/request.ts";
import { Script } from "./walkthrough/script.ts";
import { Stage } from "./walkthrough/stage.ts";

interface Example {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly deploymentCount: number;
  readonly walk: (script: Script, stage: Stage) => Promise<void>;
  /** What to try next, given the gateway's URL. */
  readonly hints: (origin: string) => readonly string[];
}

const EXAMPLES: readonly Example[] = [
  {
    name: "asm-hash-tagging",
    folder: asm.FOLDER,
    port: 18_080,
    deploymentCount: asm.DEPLOYMENT_COUNT,
    walk: asm.walk,
    hints: (origin) => [`curl ${origin}/ -H 'x-user-id: jack'`],
  },
  {
    name: "mse-order",
    folder: mse.FOLDER,
    port: 18_081,
    deploymentCount: mse.DEPLOYMENT_COUNT,
    walk: mse.walk,
    hints: (origin) => [`curl ${origin}/a`, `curl ${origin}/a -H 'canary: gray'`],
  },
];

/** The compiled file is dist/examples/walkthrough.js. */
const DIST = dirname(dirname(fileURLToPath(import.meta.url)));
const COMMAND = join(DIST, "bin", "graylane.js");

function print(text: string): void {
  process.stdout.write(text);
}

async function main(words: readonly string[]): Promise<number> {
  const isOnce = words.includes("--once");
  const chosen = words.filter((word) => !word.startsWith("-"));
  const unknown = [
    ...words.filter((word) => word.startsWith("-") && word !== "--once"),
    ...chosen.filter((name) => EXAMPLES.every((example) => example.name !== name)),
  ];
  if (unknown.length > 0) {
    const names = EXAMPLES.map(({ name }) => name).join(", ");
    process.stderr.write(`error: ${unknown.join(", ")}: not known\n`);
    process.stderr.write(`Give --once, or names of examples: ${names}.\n`);
    return 2;
  }
  const examples = EXAMPLES.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
  return play(examples, isOnce);
}

async function play(examples: readonly Example[], isOnce: boolean): Promise<number> {
  const stages: { example: Example; stage: Stage }[] = [];
  const stopAll = async (): Promise<void> => {
    await Promise.all(stages.splice(0).map(({ stage }) => stage.stop()));
    hangUp();
  };
  const interrupted = new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  void interrupted.then(stopAll);
  const failures: string[] = [];
  try {
    for (const example of examples) {
      const stage = await start(example);
      stages.push({ example, stage });
      failures.push(...(await walk(example, stage)));
      if (isOnce) await stopAll();
    }
    printVerdict(failures);
    if (!isOnce) {
      printHints(stages);
      await interrupted;
    }
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await stopAll();
  }
  return failures.length === 0 ? 0 : 1;
}

async function start(example: Example): Promise<Stage> {
  print(`\n=== ${example.name}\n`);
  print(`Starting: graylane up -f ${example.folder} ...\n`);
  const stage = await Stage.start({
    name: example.name,
    command: COMMAND,
    root: process.cwd(),
    files: [example.folder],
    port: example.port,
    deploymentCount: example.deploymentCount,
    clock: systemClock,
  });
  const other = stage.port === example.port ? "" : ` (port ${example.port} is in use)`;
  print(`The gateway listens on ${stage.origin}${other}.\n`);
  return stage;
}

async function walk(example: Example, stage: Stage): Promise<readonly string[]> {
  const script = new Script(stage, systemClock, print);
  try {
    await example.walk(script, stage);
  } catch (error) {
    script.check(
      `${example.name}: ${error instanceof Error ? error.message : String(error)}`,
      false,
    );
  }
  return script.finish();
}

function printVerdict(failures: readonly string[]): void {
  if (failures.length === 0) {
    print("\nEvery line was as expected.\n");
    return;
  }
  print(`\n${failures.length} lines were not as expected:\n`);
  for (const failure of failures) print(`  ✗ ${failure}\n`);
}

function printHints(stages: readonly { example: Example; stage: Stage }[]): void {
  print("\nStill running, until Ctrl-C. Try:\n");
  for (const { example, stage } of stages) {
    print(`  ${example.name}\n`);
    for (const hint of example.hints(stage.origin)) print(`    ${hint}\n`);
    print(`    node dist/bin/graylane.js get pods --state ${stage.stateDirectory}\n`);
  }
}

process.exitCode = await main(process.argv.slice(2));
