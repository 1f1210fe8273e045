//! Every header of the PROXY protocol through our gateway and through real Envoy, HAProxy and nginx:
//! who the client is after it, by the X-Forwarded-For that the upstream gets.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { after, test } from "node:test";
import { endAll, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import { PROXY_CASES } from "../fuzz/proxy-cases.ts";
import type { ProxyCase } from "../fuzz/proxy-cases.ts";
import { startFronts, stopFronts } from "../support/raw-fronts.ts";

after(endAll);

/** A proxy that waits for more of a header is left after this: it has forwarded nothing. */
const SILENT_MS_MAX = 1_500;

/** Envoy tells another address of this machine in the place of a loopback one. */
const OWN: ReadonlySet<string> = new Set([
  ...["nobody", ""],
  ...Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  ),
]);

function answer(socket: Socket): void {
  socket.once("data", (chunk: Buffer) => {
    const told = /x-forwarded-for: (\S*)\r\n/i.exec(chunk.toString("latin1"))?.[1] ?? "nobody";
    socket.end(
      `HTTP/1.1 200 OK\r\nContent-Length: ${told.length}\r\nConnection: close\r\n\r\n${told}`,
    );
  });
}

async function verdictOf(port: number, { header }: ProxyCase): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(SILENT_MS_MAX, () => socket.destroy());
  socket.on("error", () => undefined);
  socket.write(header);
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
  await new Promise((resolve) => socket.once("close", resolve));
  if (!got.startsWith("HTTP/1.1 200")) return "closed";
  const told = got.slice(got.indexOf("\r\n\r\n") + 4);
  return OWN.has(told) ? "own" : told;
}

test("after each header the client is the same as in Envoy, but for what is listed", async (context) => {
  const plan = { downstream: "http1", upstream: "http1", proxyProtocol: true } as const;
  const { subjects, missing } = await startFronts(plan, () => startRawUpstream(answer));
  for (const reason of missing) context.diagnostic(`left out: ${reason}`);
  const verdicts = await Promise.all(
    subjects.map(async ({ front }) => {
      const own = PROXY_CASES.map((one) => verdictOf(front.port, one));
      return { name: front.name, own: await Promise.all(own) };
    }),
  );
  await stopFronts(subjects);
  for (const [index, { name }] of PROXY_CASES.entries()) {
    const row = verdicts.map((each) => `${each.name} ${each.own[index] ?? ""}`);
    context.diagnostic(`${name}: ${row.join(", ")}`);
  }
  const of = (name: string): readonly string[] | undefined =>
    verdicts.find((each) => each.name === name)?.own;
  assert.deepEqual(
    of("Graylane"),
    PROXY_CASES.map(({ want }) => want),
  );
  const envoy = of("Envoy");
  if (envoy === undefined) return;
  const differences = PROXY_CASES.flatMap(({ name, want, envoy: theirs = want }, index) =>
    envoy[index] === theirs ? [] : `${name}: Envoy ${envoy[index] ?? ""}, not ${theirs}`,
  );
  assert.deepEqual(differences, []);
});
