//! Software that knows nothing of Graylane, inside a lane: a Python service that calls with urllib,
//! and one that calls with curl. Both forward only x-user-id, and the last hop is in the lane.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, suite, test } from "node:test";
import { Graylane, temporaryDirectory } from "../support/graylane.ts";

const FOLDER = "examples/asm-hash-tagging";
const SCRIPT = resolve("test/integration/clients/forward.py");
const IMAGE = "registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:tracing";

interface App {
  readonly name: string;
  readonly version: string;
  /** Absent: the sample of the image map. */
  readonly command?: readonly string[];
}

function deployment({ name, version, command }: App): object {
  const labels = { app: name, version, ASM_TRAFFIC_TAG: version };
  const annotations = { "graylane.io/command": JSON.stringify(command) };
  const metadata = command === undefined ? { labels } : { labels, annotations };
  const env = [
    { name: "app", value: name },
    { name: "version", value: version },
  ];
  const container = { name: "default", image: IMAGE, env, ports: [{ containerPort: 8000 }] };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `${name}-${version}`, namespace: "default" },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata, spec: { containers: [container] } },
    },
  };
}

const APPS: readonly App[] = [
  {
    name: "mocka",
    version: "v1",
    command: ["python3", SCRIPT, "mocka", "urllib", "http://mockb:8000/"],
  },
  {
    name: "mockb",
    version: "v1",
    command: ["python3", SCRIPT, "mockb", "curl", "http://mockc:8000/"],
  },
  { name: "mockc", version: "v1" },
  { name: "mockc", version: "v2" },
];

/** Why the test cannot run here; false when it can. With `CI=true` it must. */
function missing(): string | false {
  for (const program of ["python3", "curl"]) {
    const { error, status } = spawnSync(program, ["--version"], { stdio: "ignore" });
    if (error === undefined && status === 0) continue;
    const reason = `${program} is not installed here`;
    if (process.env["CI"] === "true") throw new Error(reason);
    return reason;
  }
  return false;
}

suite("unmodified clients stay in their lane", { skip: missing() }, () => {
  let graylane: Graylane;
  const folder = temporaryDirectory();
  before(async () => {
    const apps = join(folder, "apps.yaml");
    // JSON is YAML.
    writeFileSync(apps, APPS.map((app) => JSON.stringify(deployment(app))).join("\n---\n"));
    const parts = ["services", "gateway", "lanes", "virtual-service", "wasm"];
    const files = parts.map((part) => `${FOLDER}/${part}.yaml`);
    graylane = await Graylane.start({ files: [...files, apps] });
  });
  after(async () => {
    await graylane.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  // As the walk-through has it with range 20; jason has a rule of his own.
  const versions = { jason: "v2", jessie: "v2", jack: "v2", bob: "v1", stacy: "v1", vance: "v1" };
  for (const [user, version] of Object.entries(versions)) {
    test(`urllib, then curl, take ${user} to mockc ${version}`, async () => {
      const pattern = new RegExp(
        `^-> mocka\\(urllib\\)-> mockb\\(curl\\)-> mockc\\(version: ${version}, ip: [\\d.]+\\)$`,
      );
      const answers = await Promise.all(
        [1, 2, 3].map(() => graylane.ask({ headers: [["x-user-id", user]] })),
      );
      for (const { status, body } of answers) {
        assert.equal(status, 200, `${body}\n${graylane.output}`);
        assert.match(body, pattern);
      }
    });
  }

  test("users of both lanes at once do not mix", async () => {
    const users = Array.from({ length: 24 }, (_, index) => (index % 2 === 0 ? "jack" : "bob"));
    await Promise.all(
      users.map(async (user) => {
        const { body } = await graylane.ask({ headers: [["x-user-id", user]] });
        assert.match(body, user === "jack" ? /mockc\(version: v2/ : /mockc\(version: v1/, user);
      }),
    );
  });
});
