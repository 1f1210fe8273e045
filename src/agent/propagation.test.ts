//! The agent in a real app: what comes in with a request goes out with the calls made for it, by
//! every client and through every way of waiting, and nothing of another request does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, Metadata, credentials } from "@grpc/grpc-js";
import { compileAgent } from "./testing/compiled-agent.ts";

interface Ready {
  readonly ports: Readonly<Record<"http" | "https" | "http2" | "grpc", number>>;
  readonly idle: Told;
  readonly cases: readonly string[];
}

type Told = Readonly<Record<string, string>>;

const agent = compileAgent();
// The sources: the app is no TypeScript, and needs the packages of this repository.
const folder = fileURLToPath(new URL("testing/", import.meta.url));
const children: ChildProcess[] = [];

after(() => {
  for (const child of children) child.kill("SIGKILL");
  if (agent.folder !== null) rmSync(agent.folder, { recursive: true, force: true });
});

async function startApp(file: string, env: NodeJS.ProcessEnv = {}): Promise<Ready> {
  const words = ["--import", agent.url, `${folder}${file}`, `${folder}localhost.pem`];
  const child = spawn(process.execPath, words, {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    return JSON.parse(line) as Ready;
  }
  throw new Error(`${file} ended before it was ready`);
}

function ask(port: number, path: string, headers: Told, secure = false): Promise<Told> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, headers, agent: false, rejectUnauthorized: false };
    const call = (secure ? https : http).get(
      { ...options, path: `/${encodeURIComponent(path)}` },
      (response) => {
        text(response).then((body) => {
          resolve(JSON.parse(body) as Told);
        }, reject);
      },
    );
    call.on("error", reject);
  });
}

for (const file of ["app.cjs", "app.mjs"]) {
  describe(`the agent in ${file}`, () => {
    let app: Ready;
    before(async () => {
      app = await startApp(file);
    });

    test("carries by every client and way of waiting, and mixes no two requests", async () => {
      const lanes = ["gray", "blue", null];
      const asked = app.cases.flatMap((name) => lanes.map((lane) => ({ name, lane })));
      const rounds = [...asked, ...asked, ...asked];
      const answers = await Promise.all(
        rounds.map(async ({ name, lane }) => {
          const headers: Told = lane === null ? {} : { "x-mse-tag": lane, baggage: `lane=${lane}` };
          return { name, lane, told: await ask(app.ports.http, name, headers) };
        }),
      );
      for (const { name, lane, told } of answers) {
        // Written by Node before anybody could add to it.
        const isFixed = name.includes("list of headers");
        assert.equal(told["x-mse-tag"], isFixed ? undefined : (lane ?? undefined), name);
        if (name.includes("own headers")) assert.equal(told["baggage"], "own=1", name);
        else if (!isFixed)
          assert.equal(told["baggage"], lane === null ? undefined : `lane=${lane}`);
        assert.equal(told["error"], undefined, name);
      }
    });

    test("what belongs to no request carries nothing", () => {
      assert.deepEqual(app.idle, {});
    });

    test("carries no credentials, whoever asks for it", async () => {
      const headers = { cookie: "a=b", "x-graylane-carry": "cookie,x-own", "x-own": "1" };
      assert.deepEqual(await ask(app.ports.http, "http.get", headers), {});
    });

    test("carries what comes to a server of HTTPS, of HTTP/2 and of gRPC", async () => {
      const headers = { "x-mse-tag": "gray", traceparent: "00-a-b-00" };
      const want = { traceparent: "00-a-b-00", "x-mse-tag": "gray" };
      assert.deepEqual(await ask(app.ports.https, "http.get", headers, true), want);
      const session = http2.connect(`http://127.0.0.1:${app.ports.http2}`);
      const path = `/${encodeURIComponent("the end of the request's body")}`;
      const stream = session.request({ ":path": path, ...headers });
      stream.end();
      assert.deepEqual(JSON.parse(await text(stream)), want);
      session.close();
      const client = new Client(`127.0.0.1:${app.ports.grpc}`, credentials.createInsecure());
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      const told = await new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          "/test.Echo/Say",
          (value: unknown) => Buffer.from(JSON.stringify(value)),
          (buffer) => JSON.parse(buffer.toString()) as unknown,
          {},
          metadata,
          (error, answer) => {
            if (error === null) resolve(answer);
            else reject(error);
          },
        );
      });
      assert.deepEqual(told, want);
      client.close();
    });
  });
}

test("GRAYLANE_CARRY names the headers; off carries none", async () => {
  const headers = { "x-own": "1", "x-mse-tag": "gray" };
  const own = await startApp("app.cjs", { GRAYLANE_CARRY: "X-Own, cookie" });
  assert.deepEqual(await ask(own.ports.http, "http.get", { ...headers, cookie: "a=b" }), {
    "x-own": "1",
  });
  const off = await startApp("app.cjs", { GRAYLANE_CARRY: "off" });
  assert.deepEqual(await ask(off.ports.http, "http.get", headers), {});
});

test("hosts that are not named in GRAYLANE_CARRY_HOSTS are told nothing", async () => {
  const app = await startApp("app.cjs", { GRAYLANE_CARRY_HOSTS: ".example.internal" });
  for (const name of [
    "http.get",
    "https.get",
    "fetch",
    "undici.request",
    "http2 session",
    "gRPC unary",
  ]) {
    assert.deepEqual(await ask(app.ports.http, name, { "x-mse-tag": "gray" }), {}, name);
  }
});
