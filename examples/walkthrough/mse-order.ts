//! The steps of examples/mse-order: an end-to-end canary release of A and C, by content.

import type { Expected } from "./request.ts";
import type { Line, Script } from "./script.ts";
import type { Stage } from "./stage.ts";

export const FOLDER = "examples/mse-order";
export const DEPLOYMENT_COUNT = 5;

const TURNS = 5;

const BASE = answer("A[IP][config=base] -> B[IP] -> C[IP]");
const GRAY = answer("Agray[IP][config=base] -> B[IP] -> Cgray[IP]");
const GRAY_WITHOUT_A = answer("A[IP][config=base] -> B[IP] -> Cgray[IP]");

function answer(body: string): Expected {
  return { status: 200, body };
}

/** Without the header always the base versions; with it as said. */
function lines(withHeader: Expected): Line[] {
  return [
    { question: { path: "/a", headers: {} }, expected: BASE },
    { question: { path: "/a", headers: { canary: "gray" } }, expected: withHeader },
  ];
}

export async function walk(script: Script, stage: Stage): Promise<void> {
  script.heading("Before anything is sent: what analyze says about the files");
  await script.run("analyze", "-f", FOLDER);
  script.heading("canary: gray travels in the gray lane; B has no gray version");
  await script.expect(lines(GRAY), TURNS);
  script.heading("Why?");
  await script.run("explain", "--header", "canary: gray", `${stage.origin}/a`);

  await step(script, "The lane is closed", "steps/close-lane.yaml", BASE);
  await step(script, "The lane is enabled", "steps/enable-lane.yaml", GRAY);
  await step(script, "The gray A is stopped", "steps/stop-gray-a.yaml", GRAY_WITHOUT_A);
  await step(script, "The gray A is started again", "gray.yaml", GRAY);
}

async function step(
  script: Script,
  heading: string,
  file: string,
  withHeader: Expected,
): Promise<void> {
  script.heading(heading);
  const after = lines(withHeader);
  await script.change(after, async () => {
    await script.run("apply", "-f", `${FOLDER}/${file}`);
  });
  await script.expect(after, TURNS);
}
