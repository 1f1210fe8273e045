// Packs, installs the package into an empty folder, and uses what was installed.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT, npmCommand } from "./tools.mjs";

const UP_WITHIN_MS = 60_000;
const NEEDED = [
  /^README\.md$/,
  /^dist\/bin\/graylane\.js$/,
  /^dist\/bin\/worker\.js$/,
  /^dist\/bin\/LICENSES\.txt$/,
  /^dist\/src\/wasm\/wasm\.d\.ts$/,
  /^dist\/src\/agent\/agent\.js$/,
  /^plugins\/hash-tagging\/hash-tagging\.wasm$/,
  /^plugins\/hash-tagging\/plugin\.yaml$/,
  /^catalogue\/images\.yaml$/,
  /^samples\/go-http-sample\.js$/,
  /^examples\/asm-hash-tagging\/virtual-service\.yaml$/,
  /^examples\/mse-order\/steps\/close-lane\.yaml$/,
  /^docs\/errors\.md$/,
];
const UNWANTED = [/\.test\./, /^dist\/test\//, /\/testing[./]/, /\/fakes?[-.]/, /\.tsbuildinfo$/];

const folder = mkdtempSync(join(tmpdir(), "graylane-pack-"));
let server = null;
try {
  await check();
  process.stdout.write("the package holds what it needs, installs and runs\n");
} catch (error) {
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  server?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

async function check() {
  const [{ filename, files }] = JSON.parse(
    npm(["pack", "--json", "--pack-destination", folder], ROOT).replace(/^[^[]*(?=\[\s*\{)/s, ""),
  );
  const paths = files.map(({ path }) => path);
  process.stdout.write(`${filename}: ${paths.length} files\n`);
  const missing = NEEDED.filter((needed) => !paths.some((path) => needed.test(path)));
  if (missing.length > 0) throw new Error(`the package lacks ${missing.join(", ")}`);
  const unwanted = paths.filter((path) => UNWANTED.some((pattern) => pattern.test(path)));
  if (unwanted.length > 0) throw new Error(`the package holds ${unwanted.join(", ")}`);
  writeFileSync(join(folder, "package.json"), '{"private":true}');
  npm(["install", "--no-audit", "--no-fund", join(folder, filename)], folder);
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  expect(graylane(["version"]), new RegExp(version.replaceAll(".", "\\.")));
  const example = join(folder, "node_modules", "graylane", "examples", "mse-order");
  expect(graylane(["analyze", "-f", example]), /./);
  await checkUp(example);
}

async function checkUp(example) {
  const port = await freePort();
  const state = join(folder, "state");
  const words = ["up", "-f", example, "--map-port", `80=${port}`, "--state", state];
  const addresses = ["--api", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  server = spawn(command(), [...words, ...addresses], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream.on("data", (chunk) => (output += chunk));
  }
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const answer = await gatewayAnswers(port, () => output);
  process.stdout.write(`graylane up: ${answer}\n`);
  graylane(["down", "--state", state]);
  const late = sleep(30_000, "late", { ref: false });
  const code = await Promise.race([ended, late]);
  if (code !== 0) throw new Error(`graylane up ended with ${code}:\n${output}`);
}

async function gatewayAnswers(port, output) {
  const endMs = performance.now() + UP_WITHIN_MS;
  let last = "";
  while (performance.now() < endMs) {
    if (server.exitCode !== null) throw new Error(`graylane up ended:\n${output()}`);
    try {
      const headers = { canary: "gray" };
      const response = await fetch(`http://127.0.0.1:${port}/a`, { headers });
      last = `${response.status} ${(await response.text()).trim()}`;
      if (/^200 Agray\[.*-> B\[.*-> Cgray\[/.test(last)) return last;
    } catch (error) {
      last = error.message;
    }
    await sleep(100);
  }
  throw new Error(`the gateway answers ${last}\n${output()}`);
}

function command() {
  return join(folder, "node_modules", ".bin", "graylane");
}

function graylane(words) {
  if (!existsSync(command())) throw new Error("the package installs no graylane command");
  return succeed(command(), words, folder);
}

function npm(words, cwd) {
  const [file, ...before] = npmCommand();
  return succeed(file, [...before, ...words], cwd);
}

function succeed(file, words, cwd) {
  const { status, stdout, stderr, error } = spawnSync(file, words, { cwd, encoding: "utf8" });
  if (status === 0) return stdout;
  const what = `${file} ${words.join(" ")}`;
  throw new Error(`${what} ended with ${status}: ${error?.message ?? ""}\n${stdout}${stderr}`);
}

function expect(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} is not in:\n${text}`);
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
