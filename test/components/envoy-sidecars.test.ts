//! The walk-throughs with real Envoys: one as the gateway, and one as the sidecar of each pod.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import * as asm from "../../examples/walkthrough/asm-hash-tagging.ts";
import * as mse from "../../examples/walkthrough/mse-order.ts";
import { ask, hangUp } from "../../examples/walkthrough/request.ts";
import { Script } from "../../examples/walkthrough/script.ts";
import type { Stage } from "../../examples/walkthrough/stage.ts";
import { systemClock } from "../../src/base/clock.ts";
import { endEach } from "../support/ending.ts";
import { findEnvoy } from "../support/envoy.ts";
import { Backend } from "../support/envoy-fleet.ts";
import type { EnvoySidecars } from "../support/envoy-sidecars.ts";
import { startEnvoyStage } from "../support/envoy-stage.ts";
import { temporaryDirectory } from "../support/graylane.ts";
import { EchoServer, callByProxy } from "../support/grpc-echo.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const binary = found.kind === "found" ? found.path : "";
const OUTBOUND = "local.graylane.io/outbound";
const LANE = "x-mse-tag";

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly seen: Readonly<Record<string, unknown>>;
}

/** What an app does that honours `http_proxy`. */
function callVia(outbound: string, url: string, tag: string): Promise<Reply> {
  const [host = "", port = ""] = outbound.split(":");
  const headers = { host: new URL(url).host, ...(tag === "" ? {} : { [LANE]: tag }) };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, path: url, headers }, (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      const seen = JSON.parse(String(answered["x-seen"] ?? "{}")) as Reply["seen"];
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => {
        resolve({ status, body, seen });
      });
    });
    request.on("error", reject);
    request.end();
  });
}

const RPC_HOST = "rpc.test";

function entryOf(port: number): object {
  return {
    ...{ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" },
    metadata: { name: "rpc", namespace: "default" },
    spec: {
      ...{ hosts: [RPC_HOST], location: "MESH_EXTERNAL", resolution: "STATIC" },
      ports: [{ number: 9000, name: "grpc", protocol: "GRPC", targetPort: port }],
      endpoints: [{ address: "127.0.0.1" }],
    },
  };
}

suite("examples/mse-order with an Envoy for each pod", { skip, timeout: 240_000 }, () => {
  let stage: Stage;
  let sidecars: EnvoySidecars;
  let outside: Backend;
  let outbound = "";

  before(async () => {
    outside = await Backend.start("outside");
    const example = { name: "mse", folder: mse.FOLDER, deploymentCount: mse.DEPLOYMENT_COUNT };
    ({ stage, sidecars } = await startEnvoyStage(binary, example));
    const pods = await stage.pods();
    const caller = pods.find(({ metadata }) => metadata.name.startsWith("spring-cloud-b"));
    outbound = caller?.metadata.annotations?.[OUTBOUND] ?? "";
  });
  after(() =>
    endEach(
      () => stage.stop(),
      () => outside.stop(),
      () => {
        hangUp();
      },
    ),
  );

  test("a pod waits for its Envoy, and says how it is started", () => {
    assert.equal(sidecars.count, mse.DEPLOYMENT_COUNT);
    const how = /graylane envoy-bootstrap --role sidecar --pod spring-cloud-\S+\.default$/;
    for (const text of sidecars.waiting) assert.match(text, how);
  });

  const calls = [
    { url: "http://sc-c:20003/c", tag: "", want: /^C\[/ },
    { url: "http://sc-c:20003/c", tag: "gray", want: /^Cgray\[/ },
    { url: "http://SC-C.default.svc.cluster.local.:20003/c", tag: "gray", want: /^Cgray\[/ },
    { url: "http://sc-c:20003/c", tag: "no-such-lane", want: /^C\[/ },
    { url: "http://sc-b:20002/b", tag: "gray", want: /^B\[\S+ -> Cgray\[/ },
  ];
  for (const { url, tag, want } of calls) {
    test(`a call to ${url} in the lane "${tag}" is answered by ${String(want)}`, async () => {
      const { status, body } = await callVia(outbound, url, tag);
      assert.match(body, want);
      assert.equal(status, 200);
    });
  }

  test("a call that is dialled to a pod's address goes to its service, in the lane", async () => {
    const [address = ""] = await stage.podAddresses("app=spring-cloud-c,release=base");
    const { body } = await callVia(outbound, `http://${address}:20003/c`, "gray");
    assert.match(body, /^Cgray\[/);
  });

  test("a host outside the mesh is reached, and is not told the lane", async () => {
    const { body, seen } = await callVia(outbound, `http://localhost:${outside.port}/`, "gray");
    assert.equal(body, "outside");
    assert.equal(seen[LANE], undefined);
  });

  test("gRPC clients that go by http_proxy reach services, by the sidecar's routes", async () => {
    const server = await EchoServer.start();
    const entry = join(temporaryDirectory(), "entry.json");
    writeFileSync(entry, JSON.stringify(entryOf(server.port)));
    try {
      const { exitCode, output } = await stage.run(["apply", "-f", entry]);
      assert.equal(exitCode, 0, output);
      await stage.settle();
      const { said, lane } = await callByProxy(outbound, `${RPC_HOST}:9000`, [LANE, "gray"]);
      assert.equal(said, "hello");
      assert.equal(lane, "", "the lane's context does not leave the mesh");
      await assert.rejects(callByProxy(outbound, "sc-c:20003", [LANE, "gray"]), /UNAVAILABLE/);
    } finally {
      server.stop();
    }
  });

  test("a call to the sidecar's own port does not go round for ever", async () => {
    const { status, body } = await callVia(outbound, `http://${outbound}/`, "");
    assert.equal(status, 404);
    assert.match(body, /own outbound port \d+: name the service/);
  });

  test("a lane that the gateway decides for is left and entered again on the way", async () => {
    const path = "/a";
    const base = await ask(stage.entry, { path, headers: {} });
    assert.match(base.body, /^A\[.* -> B\[\S+ -> C\[/);
    const gray = await ask(stage.entry, { path, headers: { canary: "gray" } });
    assert.match(gray.body, /^Agray\[.* -> B\[\S+ -> Cgray\[/);
  });
});

suite("examples/asm-hash-tagging with an Envoy for each pod", { skip, timeout: 240_000 }, () => {
  test("every line of the walk-through is as with the embedded engine", async () => {
    const example = { name: "asm", folder: asm.FOLDER, deploymentCount: asm.DEPLOYMENT_COUNT };
    const { stage, sidecars } = await startEnvoyStage(binary, example);
    try {
      assert.equal(sidecars.count, asm.DEPLOYMENT_COUNT);
      let printed = "";
      const script = new Script(stage, systemClock, (text) => (printed += text));
      await asm.walk(script, stage);
      assert.deepEqual(await script.finish(), [], printed);
    } finally {
      await stage.stop();
      hangUp();
    }
  });
});
