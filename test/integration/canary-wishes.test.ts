//! examples/canary-wishes: the commands of its README are run as they stand there, and what they
//! print is compared with what the README says.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { COMMAND, Graylane } from "../support/graylane.ts";

const README = "examples/canary-wishes/README.md";
/** The README's gateway. */
const ORIGIN = "http://localhost:18081";
const COMMAND_TIMEOUT_MS = 120_000;

interface Step {
  readonly command: string;
  readonly expected: string;
}

interface Section {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** The `console` blocks: lines that begin with `$ `, each followed by what it prints. */
function sectionsOf(readme: string): Section[] {
  return readme
    .split(/^## /m)
    .slice(1)
    .map((text) => {
      const [, block = ""] = /^```console\n([^]*?)^```$/m.exec(text) ?? [];
      const steps = block.split(/^\$ /m).slice(1);
      return {
        title: text.slice(0, text.indexOf("\n")),
        steps: steps.map((step) => {
          const end = step.indexOf("\n");
          return { command: step.slice(0, end), expected: step.slice(end + 1).trim() };
        }),
      };
    })
    .filter(({ steps }) => steps.length > 0);
}

const sections = sectionsOf(readFileSync(README, "utf8"));
const hasCurl = spawnSync("curl", ["--version"]).error === undefined;
/** How far a count of draws may be from what is said: six standard deviations of 30 % of 200. */
const DRAWS = { title: "By ratio", spread: 39 };

suite("examples/canary-wishes", { skip: hasCurl ? false : "there is no curl" }, () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
  });
  after(async () => {
    await graylane.stop();
  });

  /** Runs one line of the README in a shell, at this test's gateway and server. */
  function run(command: string): Promise<string> {
    const words = [process.execPath, COMMAND, '"$@"', "--state", graylane.stateDirectory];
    const here = `graylane() { ${words.join(" ")}; }`;
    const text = command.replaceAll(ORIGIN, graylane.origin);
    const child = spawn("sh", ["-c", `${here}\n${text}`], { timeout: COMMAND_TIMEOUT_MS });
    let output = "";
    let faults = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (faults += chunk.toString()));
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        if (code === 0) resolve(output.trim());
        else reject(new Error(`${command}: exit code ${code}: ${output}${faults}`));
      });
    });
  }

  assert.equal(sections.length, 8);
  for (const { title, steps } of sections) {
    test(title, async () => {
      for (const { command, expected } of steps) {
        const printed = await run(command);
        if (command.includes("graylane apply")) await graylane.published();
        else if (title === DRAWS.title) {
          const off = Math.abs(Number(printed) - Number(expected));
          assert.ok(off <= DRAWS.spread, `${printed} of 200`);
        } else assert.equal(withoutAddresses(printed), withoutAddresses(expected), command);
      }
    });
  }
});

function withoutAddresses(text: string): string {
  return text.replaceAll(/\[127[.\d]+\]/g, "[IP]");
}
