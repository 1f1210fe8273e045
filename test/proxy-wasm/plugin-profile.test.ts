//! `graylane plugin profile` on a small guest: every callback and host call is in the report.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCli } from "../../src/cli/program.ts";
import { cliDependencies } from "../../src/main/cli-dependencies.ts";
import { guest } from "../support/guest.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-profile-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Asks for a header twice, and adds one to the answer; traps on a body. */
const MODULE = guest({
  imports: `(import "env" "proxy_get_header_map_value"
      (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "x-user")
    (func $ask (drop (call $get (i32.const 0) (i32.const 16) (i32.const 6)
      (i32.const 32) (i32.const 36))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $ask) (call $ask) (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 16) (i32.const 6)))
      (i32.const 0))`,
});
const file = join(folder, "small.wasm");
writeFileSync(file, MODULE);

function profile(...words: readonly string[]): Promise<{ code: number; text: string }> {
  return run("profile", "--requests", "200", ...words);
}

async function run(...words: readonly string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const terminal = {
    stdout: { write: (part: string) => (text += part) },
    stderr: { write: (part: string) => (text += part) },
  };
  const dependencies = cliDependencies(terminal, new AbortController().signal);
  const code = await runCli(["plugin", ...words], dependencies);
  return { code, text };
}

test("it counts each callback and host call of a request, and writes the stacks", async () => {
  for (const ending of ["svg", "folded", "cpuprofile"]) {
    const path = join(folder, `stacks.${ending}`);
    const { code, text } = await profile(file, "-H", "x-user: jack", "-o", path);
    assert.equal(code, 0, text);
    assert.match(text, /^200 requests: [\d.]+ µs each in the plug-in/m);
    assert.match(text, /^proxy_on_request_headers +1 +[\d.]+ /m);
    assert.match(text, /^proxy_on_response_headers +1 +[\d.]+ /m);
    assert.match(text, /^proxy_get_header_map_value +2 +[\d.]+ /m);
    assert.match(text, /^proxy_add_header_map_value +1 +[\d.]+ /m);
    const written = readFileSync(path, "utf8");
    if (ending === "svg") assert.match(written, /^<svg [^]*<\/svg>\n$/);
    if (ending === "cpuprofile") assert.ok("nodes" in (JSON.parse(written) as object));
  }
});

test("a file of cases gives the requests", async () => {
  const cases = join(folder, "small.cases.yaml");
  const one = (name: string): string => `  - {name: ${name}, request: {headers: {x-user: a}}}\n`;
  writeFileSync(cases, `plugin: small.wasm\ncases:\n${one("a")}${one("b")}`);
  const { code, text } = await profile(cases);
  assert.equal(code, 0, text);
  assert.match(text, /^200 requests of 2 kinds: /m);
});

/** Logs its root id and its configuration when it starts, as Envoy hands them over; adds `x-root`. */
const TELLING = guest({
  imports: `(import "env" "proxy_get_buffer_bytes"
      (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
  body: `(func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
      (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $size)
        (i32.const 32) (i32.const 36)))
      (drop (call $log (i32.const 2) (i32.load (i32.const 32)) (i32.load (i32.const 36))))
      (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))`,
});

interface Filter {
  readonly name: string;
  readonly code: object;
  readonly configuration?: string;
}

/** An Envoy bootstrap with these filters in front of a direct answer. */
function bootstrap(name: string, filters: readonly Filter[]): string {
  const any = (value: string): object => ({
    "@type": "type.googleapis.com/google.protobuf.StringValue",
    value,
  });
  const wasm = filters.map(({ name, code, configuration = "" }) => ({
    name: "envoy.filters.http.wasm",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name,
        root_id: "the root",
        configuration: any(configuration),
        vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: code } },
      },
    },
  }));
  const router = {
    name: "envoy.filters.http.router",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    },
  };
  const routes = [{ match: { prefix: "/" }, direct_response: { status: 200 } }];
  const manager = {
    "@type":
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "ingress",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [...wasm, router],
  };
  const chain = {
    filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }],
  };
  const address = { socket_address: { address: "127.0.0.1", port_value: 10_000 } };
  const listeners = [{ name: "main", address, filter_chains: [chain] }];
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify({ static_resources: { listeners } }));
  return path;
}

const telling = join(folder, "telling.wasm");
writeFileSync(telling, TELLING);
const ONE = bootstrap("one.yaml", [
  { name: "told", code: { filename: telling }, configuration: "from the bootstrap" },
]);
const TWO = bootstrap("two.json", [
  { name: "small", code: { filename: file } },
  { name: "inline", code: { inline_bytes: Buffer.from(TELLING).toString("base64") } },
]);
const EMPTY = bootstrap("empty.yaml", []);
const TELLING_CASES = join(folder, "telling.cases.yaml");
writeFileSync(
  TELLING_CASES,
  `plugin: elsewhere.wasm
cases:
- {name: the bootstrap's, expect: {logs: ["info: from the bootstrap"]}}
- {name: its own, configuration: own, expect: {logs: ["info: own"]}}
`,
);

test("an Envoy bootstrap gives the plug-in and its configuration", async () => {
  const { code, text } = await profile("-f", ONE);
  assert.equal(code, 0, text);
  assert.match(text, /telling\.wasm: [^]*^proxy_on_request_headers +1 +/m);
});

test("of several plug-ins of a bootstrap one is chosen, also one whose code is in it", async () => {
  const small = await profile("-f", TWO, "--plugin", "small");
  assert.match(small.text, /^proxy_get_header_map_value +2 +/m);
  const inline = await profile("-f", TWO, "--plugin", "inline");
  assert.match(inline.text, /two\.json: [^]*^proxy_on_request_headers +1 +/m);
});

test("cases are run with the bootstrap's plug-in, and with its configuration if they have none", async () => {
  const { code, text } = await run("test", "-f", ONE, TELLING_CASES);
  assert.equal(code, 0, text);
  assert.match(text, /2 passed, 0 failed/);
  const without = await run("test", TELLING_CASES);
  assert.equal(without.code, 1);
  assert.match(without.text, /elsewhere\.wasm: there is no such file/);
});

const refused: readonly (readonly [name: string, words: readonly string[], says: RegExp])[] = [
  ["a plug-in that traps", [file, "-d", "body"], /trapped in proxy_on_request_body/],
  ["a file that is not there", [join(folder, "no.wasm")], /there is no such file/],
  ["another kind of output", [file, "-o", "x.png"], /FILE\.svg \(flame graph\)/],
  [
    "a folder that is not there",
    [file, "-o", join(folder, "no", "x.svg")],
    /-o \S+x\.svg: there is no folder \S+no\n.*mkdir -p \S+no\)/,
  ],
  ["neither a module nor a bootstrap", [], /no plug-in\n/],
  ["a module beside a bootstrap", [file, "-f", ONE], /a module beside -f/],
  ["a configuration beside a bootstrap", ["-f", ONE, "--config", "{}"], /--config beside -f/],
  ["a plug-in of no bootstrap", [file, "--plugin", "small"], /of which bootstrap\?/],
  ["a bootstrap that is not there", ["-f", join(folder, "no.yaml")], /there is no such file/],
  ["a bootstrap without plug-ins", ["-f", EMPTY], /it has no Wasm HTTP filter/],
  ["a bootstrap with several", ["-f", TWO], /several plug-ins to choose from: "small", "inline"/],
  ["a name that it has not", ["-f", TWO, "--plugin", "x"], /no plug-in "x", but "small", "inline"/],
  ["what is not Envoy's", ["-f", TELLING_CASES], /telling\.cases\.yaml:1:1: /],
  ["no number of requests", [file, "--requests", "many"], /not a number from 1/],
];

/** Says why it refuses every configuration: an escape sequence, and then a line of less weight. */
const REFUSING = join(folder, "refusing.wasm");
writeFileSync(
  REFUSING,
  guest({
    imports: '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))',
    body: `(data (i32.const 16) "no \\1b[1m limits is set")
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $log (i32.const 4) (i32.const 16) (i32.const 21)))
        (drop (call $log (i32.const 2) (i32.const 16) (i32.const 2)))
        (drop (call $log (i32.const 3) (i32.const 18) (i32.const 1)))
        (i32.const 0))`,
  }),
);

test("a plug-in that refuses its configuration is quoted with its last warning or error", async () => {
  const { code, text } = await profile(REFUSING);
  assert.equal(code, 1);
  assert.match(text, /refused its configuration\nIt logged: no \\x1b\[1m limits is set\n$/);
});

test("a module in the place of a file of cases is said to be none", async () => {
  const { code, text } = await run("test", file);
  assert.equal(code, 1);
  assert.match(text, /small\.wasm: no file of cases\nName a file, or a folder/);
});

for (const [name, words, says] of refused) {
  test(`${name} is said, and the exit code is not 0`, async () => {
    const { code, text } = await profile(...words);
    assert.notEqual(code, 0);
    assert.match(text, says);
  });
}
