import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { compileAgent } from "./testing/compiled-agent.ts";

const agent = compileAgent();

/** Stands for the sidecar's outbound listener: answers what it was asked. */
const sidecar = http.createServer((request, response) => {
  const { method, url, headers } = request;
  request.resume();
  if (url?.endsWith("/redirect") === true) {
    response.writeHead(302, { location: "/next" }).end();
    return;
  }
  const own = headers["x-own"];
  const more = own === undefined ? "" : ` x-own=${String(own)}`;
  response.end(`${method ?? ""} ${url ?? ""} host=${headers.host ?? ""}${more}`);
});
const own = http.createServer((request, response) => response.end(`own ${request.url ?? ""}`));

before(async () => {
  sidecar.listen(0, "127.0.0.1");
  own.listen(0, "127.0.0.1");
  await Promise.all([once(sidecar, "listening"), once(own, "listening")]);
});

after(() => {
  sidecar.close();
  own.close();
  if (agent.folder !== null) rmSync(agent.folder, { recursive: true, force: true });
});

const portOf = (server: http.Server): number => (server.address() as AddressInfo).port;

/** Runs a script, as an ES module, in a Node with the agent; returns what it prints. */
async function run(script: string, outbound?: string): Promise<string> {
  const child = spawn(
    process.execPath,
    [
      "--import",
      agent.url,
      "--import",
      `${agent.url}?again`,
      "--input-type=module",
      "-e",
      `${SAY}\n${script}`,
    ],
    {
      env: {
        PATH: process.env["PATH"],
        OWN: `127.0.0.1:${portOf(own)}`,
        ...(outbound === ""
          ? {}
          : { GRAYLANE_OUTBOUND: outbound ?? `127.0.0.1:${portOf(sidecar)}` }),
      },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const printed = await text(child.stdout);
  return printed.trim();
}

const SAY = 'const say = (...parts) => process.stdout.write(parts.join(" ") + "\\n");';
const PRINT = `
  const print = (response) => {
    let body = "";
    response.on("data", (chunk) => (body += chunk)).on("end", () => say(body));
  };
`;

const cases = [
  {
    name: "http.get of a URL goes to the sidecar in absolute-form",
    script: `import http from "node:http"; ${PRINT} http.get("http://mockb:8000/a?b=1", print);`,
    printed: "GET http://mockb:8000/a?b=1 host=mockb:8000",
  },
  {
    name: "a named import of request is covered, with options and a method",
    script: `import { request } from "node:http"; ${PRINT}
      request({ hostname: "mockb", port: 80, path: "/x", method: "POST" }, print).end("body");`,
    printed: "POST http://mockb/x host=mockb",
  },
  {
    name: "require is covered, and a URL object with options over it",
    script: `import { createRequire } from "node:module"; ${PRINT}
      const http = createRequire("/")("http");
      http.get(new URL("http://mockb:8000/"), { path: "/y", headers: { a: "b" } }, print);`,
    printed: "GET http://mockb:8000/y host=mockb:8000",
  },
  {
    name: "a Host header of the app's own stays",
    script: `import http from "node:http"; ${PRINT}
      http.get("http://mockb:8000/", { headers: { host: "other" } }, print);`,
    printed: "GET http://mockb:8000/ host=other",
  },
  {
    name: "an address of a pod goes to the sidecar, too",
    script: `import http from "node:http"; ${PRINT} http.get("http://127.10.0.5:8000/", print);`,
    printed: "GET http://127.10.0.5:8000/ host=127.10.0.5:8000",
  },
  {
    name: "a keep-alive agent of the app's own is kept",
    script: `import http from "node:http"; ${PRINT}
      const agent = new http.Agent({ keepAlive: true });
      http.get("http://mockb:8000/", { agent }, (response) => {
        print(response);
        response.on("end", () => say(Object.keys(agent.sockets).length === 1));
        response.on("close", () => agent.destroy());
      });`,
    printed: "GET http://mockb:8000/ host=mockb:8000\ntrue",
  },
  {
    name: "fetch goes to the sidecar, and its answer keeps its URL",
    script: `const answer = await fetch("http://mockb:8000/a", { headers: { "x-a": "b" } });
      say(await answer.text(), answer.url);`,
    printed: "GET http://mockb:8000/a host=mockb:8000 http://mockb:8000/a",
  },
  {
    name: "fetch of a Request with a body, and a redirect, stay within the original host",
    script: `const sent = new Request("http://mockb:8000/p", { method: "PUT", body: "x" });
      say(await (await fetch(sent)).text());
      const answer = await fetch("http://mockb:8000/redirect");
      say(await answer.text(), answer.redirected);`,
    printed:
      "PUT http://mockb:8000/p host=mockb:8000\n" +
      "GET http://mockb:8000/next host=mockb:8000 true",
  },
  {
    name: "the app's own ports on localhost are called directly",
    script: `import http from "node:http"; ${PRINT}
      http.get("http://" + process.env.OWN + "/z", print);
      say(await (await fetch("http://" + process.env.OWN + "/f")).text());`,
    printed: "own /z\nown /f",
  },
  {
    name: "undici of the app's own goes to the sidecar, by require and by import",
    script: `import { createRequire } from "node:module"; import { request } from "undici";
      say(await (await request("http://mockb:8000/u?v=1")).body.text());
      const undici = createRequire(process.cwd() + "/")("undici");
      say(await (await undici.fetch("http://mockb:8000/f")).text());
      const answer = await undici.request("http://" + process.env.OWN + "/o");
      say(await answer.body.text());`,
    printed:
      "GET http://mockb:8000/u?v=1 host=mockb:8000\n" +
      "GET http://mockb:8000/f host=mockb:8000\nown /o",
  },
  {
    name: "undici's headers arrive in every form in which it takes them",
    script: `import { request } from "undici";
      const pairs = [["x-own", "1"]];
      for (const headers of [new Map(pairs), new Headers(pairs), pairs.flat(), { "x-own": "1" }]) {
        say(await (await request("http://mockb:8000/", { headers })).body.text());
      }`,
    printed: Array(4).fill("GET http://mockb:8000/ host=mockb:8000 x-own=1").join("\n"),
  },
  {
    name: "an invalid URL is the original's to complain about",
    script: `import http from "node:http";
      try { http.get("not a url"); } catch (error) { say(error.code); }`,
    printed: "ERR_INVALID_URL",
  },
];

for (const { name, script, printed } of cases) {
  test(name, async () => {
    const lines = await run(script);
    assert.deepEqual(lines.split("\n").sort(), printed.split("\n").sort());
  });
}

for (const outbound of ["", "nonsense"]) {
  test(`with GRAYLANE_OUTBOUND "${outbound}" no call is sent to a sidecar`, async () => {
    const script = `import http from "node:http"; ${PRINT}
      http.get("http://" + process.env.OWN + "/z", print);
      http.get("http://mockb.invalid/", print).on("error", ({ code }) => say(code));`;
    const lines = (await run(script, outbound)).split("\n").sort();
    assert.deepEqual(lines, [lines[0], "own /z"]);
    assert.match(lines[0] ?? "", /^E/);
  });
}
