//! The pages of docs/ name everything that a user can meet: codes, metrics, log fields, options.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { buildProgram } from "../src/cli/program.ts";
import type { CliDependencies } from "../src/cli/program.ts";
import { PROXY_ERRORS } from "../src/dataplane/proxy-error.ts";
import { REQUEST_FAULTS } from "../src/http/fault.ts";
import { CODES } from "../src/resources/codes.ts";
import { formatJson } from "../src/telemetry/access-log.ts";

/** From the repository's root, where the tests run, whether from source or from the build. */
function read(path: string): string {
  return readFileSync(resolve(path), "utf8");
}

test("docs/replies.md has a row with the status for every code that an answer may begin with", () => {
  const page = read("docs/replies.md");
  const statuses = new Map([
    ...Object.entries(PROXY_ERRORS).map(([code, { status }]) => [code, status] as const),
    ...Object.values(REQUEST_FAULTS).map(({ code, status }) => [code, status] as const),
  ]);
  for (const [code, status] of statuses) {
    assert.ok(page.includes(`\n| \`${code}\` | ${status} | `), `${code}, ${status}`);
  }
});

test("docs/replies.md quotes the parser's own sentences", () => {
  const page = read("docs/replies.md");
  for (const { code, message } of Object.values(REQUEST_FAULTS)) {
    assert.ok(page.includes(` | ${message} |\n`), code);
  }
});

test("docs/metrics.md has a row for every metric", () => {
  const page = read("docs/metrics.md");
  const sources = ["dataplane/worker/traffic-report.ts", "controlplane/xds/ads-server.ts"];
  const source = sources.map((path) => read(`src/${path}`)).join("");
  const names = [...source.matchAll(/name: "(graylane_\w+)"/g)].map(([, name]) => name ?? "");
  assert.ok(names.length >= 5, "the metrics are found in the source");
  for (const name of names) assert.ok(page.includes(`\n| \`${name}\` | `), name);
});

test("docs/metrics.md names every field of the access log", () => {
  const page = read("docs/metrics.md");
  const entry = {
    ...{ role: "gateway" as const, headers: [["n", "v"]] as const },
    ...{ startMs: 0, method: "m", path: "p", protocol: "v", status: 200, flags: "f" },
    ...{ bytesReceived: 1, bytesSent: 1, durationMs: 1, upstreamMs: 1, forwardedFor: "a" },
    ...{ userAgent: "u", requestId: "i", authority: "h", upstream: "e", cluster: "c" },
    ...{ route: "r", laneGroup: "g", lane: "l", reason: "w", fallback: "b" },
  };
  const line = JSON.parse(formatJson(entry)) as Readonly<Record<string, unknown>>;
  for (const field of Object.keys(line)) assert.ok(page.includes(`\`${field}\``), field);
});

test("docs/cli.md names every command and every option", () => {
  const page = read("docs/cli.md");
  const output = { write: () => undefined };
  const dependencies = { stdout: output, stderr: output } as unknown as CliDependencies;
  const program = buildProgram(dependencies, () => undefined);
  for (const command of program.commands) {
    const name = command.name();
    assert.match(page, new RegExp(`\n## .*\\b${name}\\b`), name);
    for (const { long } of command.options) {
      assert.ok(long === undefined || page.includes(long), `${name} ${long ?? ""}`);
    }
  }
  for (const { long } of program.options) assert.ok(page.includes(long ?? ""), long ?? "");
});

test("every code of a message in the sources has its section in docs/errors.md", () => {
  const files = readdirSync(resolve("src"), { recursive: true, encoding: "utf8" });
  for (const file of files) {
    if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
    for (const [code] of read(join("src", file)).matchAll(/\bGL0\d{3}\b/g)) {
      assert.ok(Object.hasOwn(CODES, code), `${code} in src/${file} is not in the table of codes`);
    }
  }
});

test("the links between the pages lead to files", () => {
  const pages = ["README.md", "ARCHITECTURE.md", "RATIONALE.md"].concat(
    readdirSync(resolve("docs")).map((name) => join("docs", name)),
  );
  for (const page of pages) {
    for (const [, target = ""] of read(page).matchAll(/\]\(([^)#:\s]+)\)/g)) {
      const path = join(page, "..", target);
      assert.doesNotThrow(() => read(path), `${page} links to ${target}`);
    }
  }
});
