//! The steps of examples/asm-hash-tagging: lanes by user segment with the hash-tagging plug-in.

import type { Line, Script } from "./script.ts";
import type { Expected } from "./request.ts";
import type { Stage } from "./stage.ts";

export const FOLDER = "examples/asm-hash-tagging";
export const DEPLOYMENT_COUNT = 4;

type Version = "v1" | "v2";

/** Those without a rule of their own in the VirtualService. Bucket: 44, 25, 16, 54, 2. */
const USERS = ["bob", "stacy", "jessie", "vance", "jack"];
const TURNS = 5;

const NOBODY: readonly string[] = [];
/** Buckets below 20, below 50, and all. */
const RANGE_20 = ["jessie", "jack"];
const RANGE_50 = ["bob", "stacy", "jessie", "jack"];
const EVERYBODY = USERS;

function chain(version: Version): Expected {
  const hop = (app: string, at: Version): string => `-> ${app}(version: ${at}, ip: IP)`;
  return { status: 200, body: hop("mocka", "v1") + hop("mockb", "v1") + hop("mockc", version) };
}

/** Names all three rules of the VirtualService. */
const NO_ROUTE: Expected = {
  status: 404,
  body: "...swimlane-ingress-vs...r2...swimlane-ingress-vs...r2...swimlane-ingress-vs...r1...",
};

function line(user: string, expected: Expected): Line {
  return { question: { path: "/", headers: { "x-user-id": user } }, expected };
}

/** jason always goes to version 2: a rule names him. */
function lines(canaryUsers: readonly string[]): Line[] {
  return [
    line("jason", chain("v2")),
    ...USERS.map((user) => line(user, chain(canaryUsers.includes(user) ? "v2" : "v1"))),
  ];
}

export async function walk(script: Script, stage: Stage): Promise<void> {
  script.heading("Before anything is sent: what analyze says about the files");
  await script.run("analyze", "-f", FOLDER);
  script.heading("20 % of the users reach mockc v2; jason always does");
  await script.expect(lines(RANGE_20), TURNS);
  script.heading("Why does jack?");
  await script.run("explain", "--header", "x-user-id: jack", stage.origin);

  await roll(script, "50 % of the users", "steps/range-50.yaml", RANGE_50);
  await roll(script, "Roll back: range 0", "steps/range-0.yaml", NOBODY);
  await roll(script, "Forward again: 20 %", "wasm.yaml", RANGE_20);
  await deletePlugin(script, stage);
  await roll(script, "The plug-in is back", "wasm.yaml", RANGE_20);
  await promote(script, stage);
  await restore(script, stage);
}

async function roll(
  script: Script,
  heading: string,
  file: string,
  canaryUsers: readonly string[],
): Promise<void> {
  script.heading(heading);
  const after = lines(canaryUsers);
  await script.change(after, async () => {
    await script.run("apply", "-f", `${FOLDER}/${file}`);
  });
  await script.expect(after, TURNS);
}

async function deletePlugin(script: Script, stage: Stage): Promise<void> {
  script.heading("Roll back by deleting the plug-in: users without a tag match no rule");
  const plugin = ["wasmplugin", "hash-tagging", "-n", "istio-system"];
  const { output } = await script.run("delete", ...plugin, "--dry-run");
  script.check("delete --dry-run foretells the 404", /\b404\b/.test(output));
  const noRoute = stage.explainsNoRoute ? NO_ROUTE : { status: 404, body: "" };
  const after = [line("jason", chain("v2")), ...USERS.map((user) => line(user, noRoute))];
  await script.change(after, async () => {
    await script.run("delete", ...plugin);
  });
  await script.expect(after);
}

async function promote(script: Script, stage: Stage): Promise<void> {
  script.heading("Promote: version 2 joins lane s1, version 1 leaves");
  // Both versions serve lane s1 for a moment, so that its users may get either.
  await script.change(lines(EVERYBODY), async () => {
    await script.run("apply", "-f", `${FOLDER}/steps/promote.yaml`);
    await stage.settle();
    await script.run("delete", "deployment", "mockc-v1");
  });
  await script.expect(lines(EVERYBODY), TURNS);

  script.heading("Lane s2 is deleted: who was in it falls back to s1");
  const { output } = await script.run("delete", "asmswimlane", "s2", "--dry-run");
  script.check("delete --dry-run names lane s2", /\bs2\b/.test(output.replace(/^.*\n/, "")));
  await script.change(lines(EVERYBODY), async () => {
    await script.run("delete", "asmswimlane", "s2");
    await stage.settle();
    await script.run("delete", "deployment", "mockc-v2");
  });
  const [address = "?", ...others] = await stage.podAddresses("app=mockc");
  script.check(`mockc has one pod left, ${address}, in lane s1`, others.length === 0);
  await script.expect(
    lines(EVERYBODY).map(({ question, expected }) => {
      const body = expected.body.replace(/IP\)$/, `${address})`);
      return { question, expected: { ...expected, body } };
    }),
    TURNS,
  );
}

async function restore(script: Script, stage: Stage): Promise<void> {
  script.heading("Back to the start");
  const after = lines(RANGE_20);
  const change = async (): Promise<void> => {
    await script.run("apply", "-f", `${FOLDER}/sample.yaml`, "-f", `${FOLDER}/lanes.yaml`);
    await stage.settle();
    await script.run("delete", "-f", `${FOLDER}/steps/promote.yaml`);
  };
  // Until lane s2 is there its users are in s1, where both versions serve for a moment.
  const between = after.map(({ question }) => ({ question, expected: chain("v1") }));
  await script.change(after, change, between);
  await script.expect(after, TURNS);
}
