//! A plug-in in the gateway calls a real server of gRPC, by the name that Istio gives its cluster.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { Metadata, ServerDuplexStream, ServiceError } from "@grpc/grpc-js";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { CLUSTER, send, startOurHost } from "../support/conformance.ts";
import type { Host } from "../support/conformance.ts";
import { endEach } from "../support/ending.ts";
import { builtProbe } from "../support/probe.ts";

const buffers = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
};
const SERVICE = {
  unary: { path: "/test.Echo/Unary", requestStream: false, responseStream: false, ...buffers },
  chat: { path: "/test.Echo/Chat", requestStream: true, responseStream: true, ...buffers },
};

type Done = (error: Partial<ServiceError> | null, reply?: Buffer) => void;

interface Unary {
  readonly request: Buffer;
  readonly metadata: Metadata;
  readonly getHost: () => string;
}

/** For a busy machine; nothing here waits so long. */
const REPLY_MS_MAX = 60_000;

const server = new Server();
let host: Host;

before(async () => {
  server.addService(SERVICE, {
    unary(call: Unary, done: Done) {
      const { request, metadata } = call;
      const text = request.toString();
      const user = metadata.get("x-user").join();
      if (text === "fail") done({ code: status.NOT_FOUND, details: "nothing" });
      else done(null, Buffer.from(`${text} of ${user} to ${call.getHost()}`));
    },
    chat(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => {
        call.end();
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const plugin = { path: await builtProbe(), configuration: "tick nothing" };
  host = await startOurHost(plugin, { echo: port, grpc: port, dead: port });
});

after(() =>
  endEach(
    () => host.stop(),
    () => {
      server.forceShutdown();
    },
    endAll,
  ),
);

/** The lines of a request that the plug-in answers itself, with `done`. */
async function linesOf(name: string, script: readonly string[]): Promise<string[]> {
  const probe = { name, script: [...script, "rh return 1"] };
  const reply = await send(host.port, probe, REPLY_MS_MAX);
  assert.match(reply, /done$/);
  return host.lines().filter((line) => line.startsWith(`${name} g`));
}

const ANSWER = ["set_effective_context $s", "send_local_response 200 s: s:done p: -1"];

test("a call brings what the server answers", async () => {
  const lines = await linesOf("call", [
    `rh grpc_call s:${CLUSTER} s:test.Echo s:Unary p:x-user=7 s:hi 60000 n`,
    "gm get_buffer_bytes 5 0 100 v",
    ...ANSWER.map((line) => `gm ${line}`),
  ]);
  const answer = '"hi of 7 to echo.default.svc.cluster.local:8000"';
  assert.ok(lines.includes(`call gm get_buffer_bytes 5 0 100 v = 0 ${answer}`), lines.join("\n"));
});

test("a call that fails brings the status and its text", async () => {
  const lines = await linesOf("fail", [
    `rh grpc_call s:${CLUSTER} s:test.Echo s:Unary p: s:fail 60000 n`,
    "gc get_status n v",
    ...ANSWER.map((line) => `gc ${line}`),
  ]);
  assert.ok(lines.includes('fail gc get_status n v = 0 5 "nothing{via_upstream}"'));
});

test("a stream speaks both ways, and ends when both sides have", async () => {
  const lines = await linesOf("chat", [
    `rh grpc_stream s:${CLUSTER} s:test.Echo s:Chat p: n`,
    "rh grpc_send $1 s:one 0",
    "rh grpc_send $1 s:two 0",
    "rh grpc_close $1",
    "gm get_buffer_bytes 5 0 100 v",
    ...ANSWER.map((line) => `gc ${line}`),
  ]);
  const got = lines.filter((line) => line.includes("get_buffer_bytes"));
  assert.deepEqual(
    got.map((line) => line.slice(line.indexOf(" = "))),
    [' = 0 "one"', ' = 0 "two"'],
  );
  assert.ok(lines.includes("chat gc token=2 status=0"));
});
