//! The MSE walk-through with services in a registry of Nacos' protocol (r-nacos): pods that
//! register themselves, and a canary of A that is no pod, whose tag is changed and which is killed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, suite, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { NacosRegistry } from "../../src/controlplane/nacos/nacos-registry.ts";
import { endEach } from "../support/ending.ts";
import { Graylane } from "../support/graylane.ts";
import { NacosServer } from "../support/nacos.ts";
import type { NacosUser } from "../support/nacos.ts";

const FOLDER = resolve("examples/mse-nacos");
const SETUP_TIMEOUT_MS = 1_190_000;
const TAG = "alicloud.service.tag";

const BASE = "A[IP][config=base] -> B[IP] -> C[IP]";
const GRAY = "Agray[IP][config=base] -> B[IP] -> Cgray[IP]";
const GRAY_WITHOUT_A = "A[IP][config=base] -> B[IP] -> Cgray[IP]";

/** The example's files with the server's port, and without the Deployment of the gray A. */
function filesFor(port: number): string {
  const folder = mkdtempSync(join(tmpdir(), "graylane-mse-nacos-"));
  mkdirSync(join(folder, "later"));
  for (const name of readdirSync(FOLDER).filter((each) => each.endsWith(".yaml"))) {
    const text = readFileSync(join(FOLDER, name), "utf8").replaceAll("8848", String(port));
    const [grayA = "", ...others] = text.split("---\n");
    const isOfGray = name === "gray.yaml";
    writeFileSync(join(folder, name), isOfGray ? others.join("---\n") : text);
    if (isOfGray) writeFileSync(join(folder, "later", name), grayA);
  }
  return folder;
}

suite("the MSE walk-through with Nacos", { timeout: SETUP_TIMEOUT_MS }, () => {
  let nacos: NacosServer;
  let graylane: Graylane;
  let folder = "";
  let canary: ChildProcess | null = null;
  let canaryPort = 0;

  before(async () => {
    nacos = await NacosServer.start();
    folder = filesFor(nacos.port);
    graylane = await Graylane.start({ files: [folder] });
  });

  after(() =>
    endEach(
      () => canary?.kill("SIGKILL"),
      () => graylane.stop(),
      () => nacos.stop(),
      () => {
        rmSync(folder, { recursive: true, force: true });
      },
    ),
  );

  /** As a machine of its own would: no pod, no sidecar. */
  async function startCanary(): Promise<void> {
    canaryPort = await freePort();
    canary = spawn(process.execPath, [resolve("samples/spring-cloud.js")], {
      stdio: "ignore",
      env: {
        ...process.env,
        ...{ app_name: "A", config: "base", service_tag: "gray", service_name: "sc-A" },
        ...{ next_service: "sc-B", next_url: "http://sc-b/b", HOST: "127.0.0.1" },
        ...{ POD_IP: "127.0.0.1", PORT: String(canaryPort), service_port: String(canaryPort) },
        "spring.cloud.nacos.discovery.server-addr": `127.0.0.1:${nacos.port}`,
      },
    });
  }

  async function answerTo(isGray: boolean): Promise<string> {
    const headers = isGray ? ([["canary", "gray"]] as const) : [];
    const { status, body } = await graylane.ask({ path: "/a", headers });
    return status === 200 ? body.trim().replace(/\[[\d.]+\]/g, "[IP]") : `${status}: ${body}`;
  }

  /** Until a gray request is answered so; says how long it took. */
  async function follows(what: string, wanted: string): Promise<void> {
    const startMs = systemClock.monotonicMs();
    let got = "";
    const said = (): string => `${what}: ${wanted}, but ${got}`;
    await graylane.until(said, async () => {
      got = await answerTo(true);
      return got === wanted;
    });
    const tookMs = Math.round(systemClock.monotonicMs() - startMs);
    process.stdout.write(`${what}: followed after ${tookMs} ms\n`);
    assert.equal(await answerTo(false), BASE);
  }

  /**
   * Until so many instances are known and all is answered rightly: those that come at once are not
   * all known at one moment, to us and to the applications, who may dial one before we know of it.
   */
  async function untilKnown(instances: number, gray: string): Promise<void> {
    await graylane.until(`${instances} instances`, async () => {
      const { stdout } = await graylane.cli("get", "mcpbridges", "-A");
      return new RegExp(`nacos:Connected +3 +${instances} `).test(stdout);
    });
    await graylane.published();
    let seen: readonly string[] = [];
    const said = (): string => `${gray} and ${BASE}, but ${seen.join(" and ")}`;
    await graylane.until(said, async () => {
      seen = [await answerTo(true), await answerTo(false)];
      return seen[0] === gray && seen[1] === BASE;
    });
  }

  test("pods that registered themselves are called, in their lanes", async () => {
    await untilKnown(4, GRAY_WITHOUT_A);
    for (let turn = 0; turn < 10; turn++) {
      assert.equal(await answerTo(true), GRAY_WITHOUT_A);
      assert.equal(await answerTo(false), BASE);
    }
  });

  test("a canary that is no pod enters the lane when it registers itself", async () => {
    await startCanary();
    await follows("an instance is new", GRAY);
    const { stdout } = await graylane.cli("get", "mcpbridges", "-A");
    assert.match(stdout, /default +nacos:Connected +3 +5 /);
    const lane = await graylane.cli("get", "lane", "gray", "-o", "yaml");
    assert.match(lane.stdout, new RegExp(`- 127.0.0.1:${canaryPort}\\n`));
  });

  test("while the server is away all is served as before, and the status says so", async () => {
    await nacos.kill();
    await graylane.until("Away", async () => {
      const { stdout } = await graylane.cli("get", "mcpbridges", "-A");
      return /nacos:Away +3 +5 /.test(stdout);
    });
    // The applications keep what they were told last, as Nacos' clients do.
    for (let turn = 0; turn < 10; turn++) {
      assert.equal(await answerTo(true), GRAY);
      assert.equal(await answerTo(false), BASE);
    }
    await nacos.resume();
    // It knows nobody until all have registered again, and the applications believe it.
    await graylane.until("the canary is registered again", async () =>
      (await nacos.instancesOf("sc-A")).includes(`127.0.0.1:${canaryPort}`),
    );
    await untilKnown(5, GRAY);
  });

  // After the server was killed: it keeps tags that were set by hand, and a kill can bring back the
  // last but one.
  test("an instance whose tag is changed leaves the lane, and enters it again", async () => {
    const instance = { serviceName: "sc-A", ip: "127.0.0.1", port: canaryPort };
    await nacos.setMetadata(instance, { [TAG]: "blue" });
    await follows("the tag is another", GRAY_WITHOUT_A);
    await nacos.setMetadata(instance, { [TAG]: "gray" });
    await follows("the tag is gray again", GRAY);
  });

  test("an instance that is killed is called no more", async () => {
    canary?.kill("SIGKILL");
    await follows("an instance is killed", GRAY_WITHOUT_A);
    const { stdout } = await graylane.cli("get", "mcpbridges", "-A");
    assert.match(stdout, /nacos:Connected +3 +4 /);
  });
});

const LOGIN = { timeout: SETUP_TIMEOUT_MS };
test(
  "a server where all have to log in is followed with the right password alone",
  LOGIN,
  async () => {
    const user = { name: "graylane", password: "a-password-of-a-test" };
    const nacos = await NacosServer.start(user);
    const at = { host: "127.0.0.1", port: nacos.port, grpcPort: nacos.port + 1_000 };
    const settings = { ...at, namespace: "", groups: ["DEFAULT_GROUP"] };
    /** The first fault that is as wanted: users are made while the server starts. */
    async function faultFor(
      who: NacosUser | null,
      isWanted: (fault: string) => boolean,
    ): Promise<string> {
      let tell: () => void = () => undefined;
      const registry = new NacosRegistry({
        ...{ settings: { ...settings, user: who }, clock: systemClock },
        onChange: () => {
          tell();
        },
      });
      await registry.first;
      while (!isWanted(registry.answer.fault)) {
        await new Promise<void>((resolve) => {
          tell = resolve;
        });
      }
      registry.stop();
      return registry.answer.fault;
    }
    try {
      assert.equal(await faultFor(user, (fault) => fault === ""), "");
      const wrong = await faultFor({ ...user, password: "wrong" }, () => true);
      assert.match(wrong, /^the user graylane is refused \(403\)$/);
      assert.equal(await faultFor(null, () => true), "unknown user!");
    } finally {
      await nacos.stop();
    }
  },
);
