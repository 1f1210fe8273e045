//! A real registry for component tests: Debian's docker-registry (distribution 2.8), and a push by
//! plain HTTP after the distribution specification.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../src/base/testing/free-port.ts";
import { ensureCommand } from "./sdk-plugins.ts";

const READY_MS_MAX = 30_000;
const POLL_MS = 50;
const COMMAND = "docker-registry";

/** Null: there is a registry to start; else why not. With `CI=true` its want is an error. */
export function registryMissing(): string | null {
  const reason = ensureCommand(COMMAND, [COMMAND]);
  if (reason !== null && process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

export class Registry {
  readonly host: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(host: string, child: ChildProcess, folder: string) {
    this.host = host;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(): Promise<Registry> {
    const host = `127.0.0.1:${await freePort()}`;
    const folder = mkdtempSync(join(tmpdir(), "graylane-registry-"));
    const file = join(folder, "config.yml");
    writeFileSync(
      file,
      `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${join(folder, "data")}}}
http: {addr: "${host}"}
`,
    );
    const child = spawn(COMMAND, ["serve", file], { stdio: "ignore" });
    const registry = new Registry(host, child, folder);
    const endMs = performance.now() + READY_MS_MAX;
    while (!(await isUp(host))) {
      if (performance.now() > endMs || child.exitCode !== null) {
        await registry.stop();
        throw new Error(`${COMMAND} does not answer at ${host}`);
      }
      await sleep(POLL_MS);
    }
    return registry;
  }

  /** Pushes an image of one layer, and returns the digest of its manifest. */
  async push(
    name: string,
    layer: { readonly type: string; readonly bytes: Uint8Array },
    manifestType: string,
  ): Promise<string> {
    const [repository = "", tag = ""] = name.split(":");
    const config = Buffer.from('{"architecture":"wasm","os":"wasip1"}');
    const describe = async (mediaType: string, bytes: Uint8Array): Promise<object> => ({
      mediaType,
      size: bytes.length,
      digest: await this.#pushBlob(repository, bytes),
    });
    const manifest = {
      schemaVersion: 2,
      mediaType: manifestType,
      config: await describe("application/vnd.docker.container.image.v1+json", config),
      layers: [await describe(layer.type, layer.bytes)],
    };
    const body = JSON.stringify(manifest);
    const answer = await fetch(`http://${this.host}/v2/${repository}/manifests/${tag}`, {
      method: "PUT",
      headers: { "content-type": manifestType },
      body,
    });
    if (answer.status !== 201) throw new Error(`push: ${answer.status} ${await answer.text()}`);
    return digestOf(Buffer.from(body));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill();
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #pushBlob(repository: string, bytes: Uint8Array): Promise<string> {
    const digest = digestOf(bytes);
    const begun = await fetch(`http://${this.host}/v2/${repository}/blobs/uploads/`, {
      method: "POST",
    });
    const place = new URL(begun.headers.get("location") ?? "", `http://${this.host}`);
    place.searchParams.set("digest", digest);
    const done = await fetch(place, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream" },
      body: Buffer.from(bytes),
    });
    if (done.status !== 201) throw new Error(`upload: ${done.status} ${await done.text()}`);
    return digest;
  }
}

async function isUp(host: string): Promise<boolean> {
  return fetch(`http://${host}/v2/`).then(
    ({ status }) => status === 200,
    () => false,
  );
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
