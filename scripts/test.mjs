// `npm test [-- part-of-a-path ...]`: installs what is missing, builds, and runs every test file,
// but for those in test/components, test/mutation and test/parity; with `--components` only those
// (they need Java, a registry, many Envoys, or long).
//
// With CI=true a skipped test is a failure: a test that never runs proves nothing.

import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, sep } from "node:path";
import { run as runTests } from "node:test";
import { spec } from "node:test/reporters";
import { FileWatch } from "./file-watch.mjs";
import { grouped } from "./test-groups.mjs";
import { ROOT, checkNodeVersion, fail, run } from "./tools.mjs";

/** On two busy cores the longest file takes a minute and a half. */
const FILE_TIMEOUT_MS = 300_000;
/** Component tests may have to build what they test with. */
const COMPONENT_FILE_TIMEOUT_MS = 1_200_000;
/** Files that are asked for by name may be made long by the environment. */
const NAMED_FILE_TIMEOUT_MS = 7_200_000;
/** The runner's limit comes first: it names the test. */
const KILL_AFTER_MS = 15_000;
/** Of a failed test's error, in the list at the end. */
const CAUSE_LINES_MAX = 6;
const CAUSE_LINE_CHARACTERS_MAX = 160;
const FILES_AT_ONCE_MAX = 4;
/** Beside one for each core: many files wait for most of their time. */
const FILES_MORE = 1;
/**
 * V8's nursery as on Node 20: later versions let it grow to three times 32 MiB and keep the pages,
 * which a test of resident memory could not tell from memory that is kept.
 */
const NURSERY_FLAG = "--max-semi-space-size=16";
/** Whole systems first, units last: at the end no long file keeps one core busy alone. */
const FOLDERS = ["test", "examples", "bench", "plugins", "sdk", "src"];
/** Of the component tests, a minute and more each: begun last, one would keep a core busy alone. */
const LONGEST = [
  "parity.test",
  "http-differential.test",
  "listener-mutation.test",
  "envoy-sidecars.test",
];

checkNodeVersion();
run(process.execPath, [join(ROOT, "scripts", "setup.mjs")]);
run(process.execPath, [join(ROOT, "scripts", "build.mjs")]);
process.chdir(ROOT);
process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, NURSERY_FLAG].filter(Boolean).join(" ");

const COMPONENTS_FLAG = "--components";
const words = process.argv.slice(2);
const wanted = words.filter((word) => word !== COMPONENTS_FLAG);
const COMPONENTS = ["components", "mutation", "parity"].map((folder) => join("test", folder) + sep);
const files = FOLDERS.flatMap(testFiles).filter(
  (file) =>
    COMPONENTS.some((folder) => file.startsWith(folder)) === words.includes(COMPONENTS_FLAG) &&
    (wanted.length === 0 || wanted.some((part) => file.includes(part))),
);
files.sort((a, b) => rank(a) - rank(b));
if (files.length === 0) fail(`no test file has ${wanted.join(" or ") || "a name"} in its path`);

/** The list is made from the sources: a compiled file whose source is gone is not run. */
function testFiles(folder) {
  let names;
  try {
    names = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".test.ts") && !name.split(sep).includes("node_modules"))
    .map((name) => join(folder, name).replace(/\.ts$/, ".js"))
    .sort();
}

function rank(file) {
  const index = LONGEST.findIndex((name) => file.includes(name));
  return index < 0 ? LONGEST.length : index;
}

function fileTimeoutMs() {
  if (wanted.length > 0) return NAMED_FILE_TIMEOUT_MS;
  return words.includes(COMPONENTS_FLAG) ? COMPONENT_FILE_TIMEOUT_MS : FILE_TIMEOUT_MS;
}

const counts = { passed: 0, failed: 0 };
const skipped = [];
const failed = [];
const watch = new FileWatch(fileTimeoutMs() + KILL_AFTER_MS);

/** A file is reported as a test of its own; only what stands in it is counted. */
function place(data) {
  const file = data.file === undefined ? "" : relative(DIST, data.file);
  return file === "" ? data.name : `${file}: ${data.name}`;
}

/** Why it failed, indented, short enough to be read again at the end of a long output. */
function cause({ details }) {
  const error = details?.error;
  if (error?.failureType === "subtestsFailed") return "";
  const text = String(error?.cause?.message ?? error?.message ?? "no error given");
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(0, CAUSE_LINES_MAX)
    .map((line) => `\n    ${line.trimEnd().slice(0, CAUSE_LINE_CHARACTERS_MAX)}`)
    .join("");
}

const DIST = join(ROOT, "dist");
// Who asks for a file by name gets it by itself.
const paths = wanted.length === 0 ? grouped(DIST, files) : files.map((file) => join(DIST, file));
const stream = runTests({
  files: paths,
  concurrency: Math.min(FILES_AT_ONCE_MAX, availableParallelism() + FILES_MORE),
  timeout: fileTimeoutMs(),
});
stream.on("test:dequeue", ({ name }) => {
  if (paths.includes(name)) watch.begin(name);
});
stream.on("test:complete", ({ name }) => watch.end(name));
stream.on("test:pass", (data) => {
  if (data.skip !== undefined && data.skip !== false) {
    const reason =
      typeof data.skip === "string" && data.skip !== "" ? data.skip : "no reason given";
    skipped.push(`${place(data)} (${reason})`);
  } else {
    counts.passed += 1;
  }
});
stream.on("test:fail", (data) => {
  if (data.todo !== undefined && data.todo !== false) return;
  counts.failed += 1;
  failed.push(`${place(data)}${cause(data)}`);
});
stream.on("end", report);
const shown = stream.compose(new spec());
shown.pipe(process.stdout);
// What a test left behind may hold a pipe to us: that is waited for by nobody.
shown.on("end", () => setImmediate(() => process.exit()));
// Who ends us wants to know what did not end.
process.once("SIGTERM", () => {
  for (const file of watch.running) {
    counts.failed += 1;
    failed.push(`${relative(DIST, file)}: was running when the run was ended`);
  }
  report();
  process.exit(1);
});

function report() {
  process.exitCode = counts.failed > 0 || (isCi() && skipped.length > 0) ? 1 : 0;
  // After the reporter has had its say.
  process.on("exit", () => {
    const lines = [
      "",
      ...failed.map((name) => `  failed: ${name}`),
      ...skipped.map((name) => `  skipped: ${name}`),
    ];
    if (isCi() && skipped.length > 0) lines.push("With CI=true every test must run.");
    lines.push(
      `${files.length} test files`,
      `${counts.passed} passed, ${counts.failed} failed, ${skipped.length} skipped`,
    );
    process.stdout.write(`${lines.join("\n")}\n`);
  });
}

function isCi() {
  return process.env.CI === "true" || process.env.CI === "1";
}
