//! Plug-ins of real Envoys: each is a resource of its own (ECDS), so that another configuration or
//! version of one ends no connection.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import { after, before, suite, test } from "node:test";
import type { ConfigDump } from "../../src/api/types.ts";
import { canonicalJson } from "../../src/base/canonical-json.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { findEnvoy } from "../support/envoy.ts";
import type { Envoy } from "../support/envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";
import { builtPlugin } from "../support/plugin.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const MODES = ["delta", "sotw", "delta-fetched", "sotw-fetched"] as const;
type Mode = (typeof MODES)[number];
/** Those that have their modules from the control plane's store; the others have files. */
const FETCHING = MODES.filter((mode) => mode.endsWith("-fetched"));

const BASE = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ name: http, port: 8000, targetPort: http }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: entry, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ["*"]
  gateways: [entry]
  http: [{ route: [{ destination: { host: shop } }] }]
`;

/** Tags every request that has a user; in a VM of its own. */
const tagging = (tag: string, name = "tagging"): string => `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: ${name}, namespace: default }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  url: registry-cn-hangzhou.ack.aliyuncs.com/acs/asm-wasm-hash-tagging:v1.22.6.2-g72656ba-aliyun
  phase: AUTHN
  vmConfig: { env: [{ name: VM, value: ${name} }] }
  pluginConfig:
    rules:
      - header: x-user
        modulo: 100
        tagHeader: x-${name}
        policies: [{ range: 100, tagValue: ${tag} }]
`;

function waysOf(mode: Mode): { xdsMode: "delta" | "sotw"; modules: "fetched" | "files" } {
  const xdsMode = mode.startsWith("delta") ? "delta" : "sotw";
  return { xdsMode, modules: FETCHING.includes(mode) ? "fetched" : "files" };
}

/** What Envoy refuses; the control plane cannot know. */
const bad = (yaml: string): string => yaml.replace("modulo: 100", "modulo: many");

/** Loads here; Envoy has not all that it imports. */
const FOREIGN = `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: tagging, namespace: default }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  url: file://${resolve(builtPlugin("canary-conditions"))}
  phase: AUTHN
  pluginConfig: { anyOf: [{ allOf: [{ header: x-user, in: [jack] }] }] }
`;

/** A custom section, which changes nothing but the digest: its name is "v". */
const SECTION = Buffer.from([0, 2, 1, 0x76]);

/** What the plug-in of that name wrote, by what the backend got. */
function tagIn(headers: IncomingHttpHeaders, name = "tagging"): string {
  const text = headers["x-seen"];
  const seen = JSON.parse(typeof text === "string" ? text : "{}") as Record<string, string>;
  return seen[`x-${name}`] ?? "";
}

/** A client that must keep its connection. */
class OneConnection {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.#port = port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  ask(): Promise<IncomingHttpHeaders> {
    return this.begin()();
  }

  /** Sends the head and a part of the body; what is returned sends the rest. */
  begin(): () => Promise<IncomingHttpHeaders> {
    const headers = { host: "shop", "x-user": "jack" };
    const options = { host: "127.0.0.1", port: this.#port, method: "POST", headers };
    const request = httpRequest({ ...options, agent: this.#agent });
    const answered = new Promise<IncomingHttpHeaders>((done, fail) => {
      request.on("socket", (socket) => this.#sockets.add(socket)).on("error", fail);
      request.on("response", (response) => {
        response.resume().on("end", () => {
          done(response.headers);
        });
      });
    });
    request.write("begun");
    return () => {
      request.end();
      return answered;
    };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Asks again as soon as it is answered, on new connections. */
class Asking {
  /** What was answered: each once, in the order of their first. */
  readonly #outcomes = new Set<string>();
  readonly #ended: Promise<void>;
  #isStopped = false;

  constructor(port: number) {
    this.#ended = this.#ask(port);
  }

  async stop(): Promise<string[]> {
    this.#isStopped = true;
    await this.#ended;
    return [...this.#outcomes];
  }

  async #ask(port: number): Promise<void> {
    const headers = [["x-user", "jack"]] as const;
    while (!this.#isStopped) {
      const { status, headers: seen } = await askAt({ port, host: "shop", path: "/", headers });
      this.#outcomes.add(`${status} ${tagIn(seen)}`);
    }
  }
}

/** The url of the same plug-in with another digest. */
function variant(index: number, bytesMore = 0): string {
  const path = join(temporaryDirectory(), `variant-${index}.wasm`);
  const content = Buffer.concat([Buffer.from([1, 0x61 + index]), Buffer.alloc(bytesMore)]);
  const size = Buffer.from([0, 0, 0, 0]);
  for (const [at] of size.entries()) {
    size[at] = ((content.length >> (7 * at)) & 0x7f) | (at < 3 ? 0x80 : 0);
  }
  const section = Buffer.concat([Buffer.from([0]), size, content]);
  writeFileSync(path, Buffer.concat([readFileSync(builtPlugin("hash-tagging")), section]));
  return `file://${path}`;
}

/** How many messages of listeners the Envoy has taken. */
async function taken(envoy: Envoy | undefined): Promise<string> {
  const filter = "filter=^listener_manager.lds.update_success$";
  return (await fetch(`http://127.0.0.1:${envoy?.adminPort ?? 0}/stats?${filter}`)).text();
}

/** In one spelling: Envoy leaves out what is not set. */
function filtersIn({ configs }: ConfigDump): string[] {
  const entries = configs.flatMap((section) => (section["ecds_filters"] ?? []) as JsonObject[]);
  const isSet = (_name: string, value: unknown): unknown => (value === "" ? undefined : value);
  const texts = entries.map((entry) => JSON.stringify(entry["ecds_filter"], isSet));
  // Envoy has others for as long as a listener drains.
  const own = texts.filter((text) => text.includes('"plugin|default/tagging"'));
  return own.map((text) => canonicalJson(JSON.parse(text)));
}

suite("plug-ins of real Envoys", { skip, timeout: 240_000 }, () => {
  let backend: Backend;
  let graylane: Graylane;
  const envoys = new Map<Mode, Envoy>();
  const ports = new Map<Mode, number>();

  before(async () => {
    const xdsPort = await freePort();
    graylane = await Graylane.start({
      files: [],
      words: ["--xds", `127.0.0.1:${xdsPort}`],
      waitsForPods: false,
    });
    await graylane.apply(BASE + "---" + tagging("one"));
    backend = await Backend.start("shop");
    await backend.announce(graylane, { app: "shop" });
    const binary = found.kind === "found" ? found.path : "";
    for (const mode of MODES) {
      const port = await freePort();
      ports.set(mode, port);
      const id = `edge-${mode}`;
      envoys.set(
        mode,
        await startGatewayEnvoy(binary, graylane, { xdsPort, port, id, ...waysOf(mode) }),
      );
    }
    await graylane.published();
    // With fetched modules an Envoy is ready before it listens.
    await until("tagging", "200 one");
  });
  after(async () => {
    for (const envoy of envoys.values()) await envoy.stop();
    await graylane.stop();
    await backend.stop();
  });

  /** Applies it and waits until both have answered. */
  const apply = async (yaml: string): Promise<void> => {
    await graylane.apply(yaml);
    await graylane.published();
  };
  const askBoth = (): Promise<Answer[]> =>
    Promise.all(
      MODES.map((mode) => {
        const headers = [["x-user", "jack"]] as const;
        return askAt({ port: ports.get(mode) ?? 0, host: "shop", path: "/", headers });
      }),
    );
  const tagsSeen = async (name = "tagging"): Promise<string[]> =>
    (await askBoth()).map(({ status, headers }) => `${status} ${tagIn(headers, name)}`);
  /** A listener that is new serves a moment after its Envoy has said that it has it. */
  const until = (name: string, seen: string): Promise<void> =>
    graylane.until(`both say ${seen}`, async () =>
      (await tagsSeen(name)).every((tag) => tag === seen),
    );
  const wordsAbout = async (name: string): Promise<string> => {
    return JSON.stringify((await graylane.client.get(KINDS.WasmPlugin, "default", name)).status);
  };

  test("another configuration or version ends no connection and no request", async () => {
    const listeners = await Promise.all(MODES.map((mode) => taken(envoys.get(mode))));
    const clients = MODES.map((mode) => new OneConnection(ports.get(mode) ?? 0));
    const ask = (): Promise<string[]> =>
      Promise.all(clients.map(async (client) => tagIn(await client.ask())));
    assert.deepEqual(
      await ask(),
      MODES.map(() => "one"),
    );
    // Begun before all changes, and ended behind them.
    const long = MODES.map((mode) => new OneConnection(ports.get(mode) ?? 0));
    const ends = long.map((client) => client.begin());
    for (const tag of ["two", "three", "four"]) {
      await apply(tagging(tag));
      assert.deepEqual(
        await ask(),
        MODES.map(() => tag),
      );
    }
    const newer = join(temporaryDirectory(), "newer.wasm");
    const bytes = Buffer.concat([readFileSync(builtPlugin("hash-tagging")), SECTION]);
    writeFileSync(newer, bytes);
    await apply(tagging("newer").replace(/url: .*/, `url: file://${newer}`));
    assert.deepEqual(
      await ask(),
      MODES.map(() => "newer"),
    );
    const digest = createHash("sha256").update(bytes).digest("hex");
    for (const mode of MODES) {
      const { stdout } = await graylane.cli("proxy-config", "ecds", `edge-${mode}`);
      assert.ok(stdout.includes(digest), stdout);
    }
    for (const end of ends) assert.equal(tagIn(await end()), "one");
    for (const client of [...clients, ...long]) {
      assert.equal(client.connections, 1);
      client.close();
    }
    assert.deepEqual(await Promise.all(MODES.map((mode) => taken(envoys.get(mode)))), listeners);
    for (const envoy of envoys.values()) assert.equal(await envoy.isDraining(), false);
    await apply(tagging("one"));
  });

  test("what an Envoy refuses is said at the plug-in, all else goes on", async () => {
    const refusal = /Envoy edge-[-a-z]+ refused the filter plugin\|default\/tagging: Unable to/;
    await apply(FOREIGN);
    assert.match(await wordsAbout("tagging"), refusal);
    assert.deepEqual(
      await tagsSeen(),
      MODES.map(() => "200 one"),
    );
    await apply(`${bad(tagging("two"))}---${tagging("beside", "other")}`);
    assert.match(await wordsAbout("tagging"), refusal);
    assert.doesNotMatch(await wordsAbout("other"), /refused/);
    assert.deepEqual(
      await tagsSeen(),
      MODES.map(() => "200 one"),
    );
    await until("other", "200 beside");
    assert.deepEqual(
      await tagsSeen(),
      MODES.map(() => "200 one"),
    );
    const { stdout } = await graylane.cli("proxy-status");
    for (const mode of MODES) {
      const row = `\nedge-${mode} +gateway( +SYNCED){4} +NOT SENT +STALE\n`;
      assert.match(stdout, new RegExp(row));
    }
    await apply(tagging("two"));
    assert.deepEqual(
      await tagsSeen(),
      MODES.map(() => "200 two"),
    );
    assert.doesNotMatch(await wordsAbout("tagging"), /refused/);
    await graylane.cli("delete", "wasmplugin", "other");
    await graylane.published();
  });

  test("while modules change and are added, each request is served, and by its plug-ins", async () => {
    await apply(tagging("two"));
    const clients = FETCHING.map((mode) => new Asking(ports.get(mode) ?? 0));
    for (const [index, tag] of ["b", "c", "d"].entries()) {
      await apply(tagging(tag).replace(/url: .*/, `url: ${variant(index)}`));
    }
    // 20 MB, as the largest plug-ins in use.
    await apply(tagging("large").replace(/url: .*/, `url: ${variant(3, 20 << 20)}`));
    await apply(tagging("beside", "other").replace(/url: .*/, `url: ${variant(4)}`));
    await until("other", "200 beside");
    const seen = clients.map((client) => client.stop());
    for (const outcomes of await Promise.all(seen)) {
      assert.deepEqual(outcomes, ["200 two", "200 b", "200 c", "200 d", "200 large"]);
    }
    assert.deepEqual(
      await tagsSeen(),
      MODES.map(() => "200 large"),
    );
    await graylane.cli("delete", "wasmplugin", "other");
    await apply(tagging("two"));
  });

  test("in place of one that was never good stands its fail mode", async () => {
    const open = (yaml: string): string =>
      yaml.replace("phase:", "failStrategy: FAIL_OPEN\n  phase:");
    await apply(bad(tagging("new", "fresh")));
    await graylane.until("both refuse", async () =>
      (await askBoth()).every(({ status }) => status === 503),
    );
    await apply(open(bad(tagging("new", "fresh"))));
    await until("tagging", "200 two");
    await apply(open(tagging("new", "fresh")));
    await until("fresh", "200 new");
    await graylane.cli("delete", "wasmplugin", "fresh");
    await graylane.published();
  });

  test("proxy-config ecds says what each Envoy runs, as its own config_dump does", async () => {
    for (const mode of MODES) {
      const at = `http://127.0.0.1:${envoys.get(mode)?.adminPort ?? 0}/config_dump`;
      const theirs = (await (await fetch(at)).json()) as ConfigDump;
      const ours = await graylane.client.configDump(`edge-${mode}`);
      assert.deepEqual(filtersIn(ours), filtersIn(theirs));
      assert.equal(filtersIn(ours).length, 1);
      const { stdout } = await graylane.cli("proxy-config", "ecds", `edge-${mode}`);
      assert.match(stdout, /^NAME +MODULE +FAILURE +CONFIGURATION\n/);
      assert.match(stdout, /\nplugin\|default\/tagging +[0-9a-f]{64}\.wasm +FAIL_RELOAD +\{/);
    }
  });
});
