//! The audit log of a server that is killed again and again while clients write.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

/** 100 in the long form. */
const KILLS = Number(process.env["GRAYLANE_AUDIT_KILLS"] ?? "3");
const WRITERS = 8;
const ACKS_A_ROUND = 60;
const TOKEN = "s3cr3t-token-".padEnd(64, "x");
const SECRET = "c2VjcmV0LXZhbHVl";
const SERVER = new URL("testing/audited-server.js", import.meta.url).pathname;
/** What would be lines and events of their own, were it written as it comes. */
const FORGERIES = [
  `%0A%7B%22verb%22%3A%22forged%22%7D%0A`,
  `%22%2C%22verb%22%3A%22forged%22%2C%22x%22%3A%22`,
  "%E2%80%A8%C2%85%0D%0A",
];

interface Line {
  readonly verb: string;
  readonly requestURI: string;
  readonly responseStatus: { readonly code?: number };
}

interface Round {
  readonly acked: string[];
  readonly started: Set<string>;
}

/** Writes until it is cut off: each object once, under an id that the log must tell. */
async function write(url: string, prefix: string, round: Round, onAck: () => void): Promise<void> {
  for (let at = 0; ; at += 1) {
    const id = `${prefix}-${at}`;
    round.started.add(id);
    const forgery = FORGERIES[at % FORGERIES.length] ?? "";
    const path = `/api/v1/namespaces/default/secrets?fieldManager=${id}&note=${forgery}`;
    const metadata = { name: id, namespace: "default" };
    const body = { apiVersion: "v1", kind: "Secret", metadata, data: { value: SECRET } };
    try {
      const answer = await fetch(url + path, {
        method: "POST",
        headers: {
          authorization: `Bearer ${TOKEN}`,
          "content-type": "application/json",
          "user-agent": 'a"},{"verb":"forged"}\\n\u00e9',
        },
        body: JSON.stringify(body),
      });
      assert.equal(answer.status, 201, await answer.text());
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return;
    }
    round.acked.push(id);
    onAck();
  }
}

/** Starts the server, lets clients write, and kills it between two acknowledgements. */
async function kill(directory: string, name: string, round: Round): Promise<void> {
  const child = spawn(process.execPath, [SERVER, directory, TOKEN], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  let acks = 0;
  const onAck = (): void => {
    acks += 1;
    if (acks === ACKS_A_ROUND) child.kill("SIGKILL");
  };
  const url = said.toString().trim();
  const writers = Array.from({ length: WRITERS }, (_, at) =>
    write(url, `${name}-${at}`, round, onAck),
  );
  await Promise.all(writers);
  await ended;
}

function linesOf(text: string): Line[] {
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}

test(`${KILLS} kills lose, double and forge no line of an acknowledged write`, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-audit-"));
  const round: Round = { acked: [], started: new Set() };
  for (let at = 0; at < KILLS; at += 1) await kill(directory, `k${at}`, round);
  const text = readFileSync(join(directory, "audit.log"), "utf8");
  const counts = new Map<string, number>();
  for (const { verb, requestURI, responseStatus } of linesOf(text)) {
    assert.equal(verb, "create");
    assert.equal(responseStatus.code, 201);
    const id = new URL(requestURI, "http://localhost").searchParams.get("fieldManager") ?? "";
    assert.ok(round.started.has(id), `nobody asked for ${requestURI}`);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  t.diagnostic(`${round.acked.length} writes acknowledged, ${counts.size} in the log`);
  assert.ok(round.acked.length >= KILLS * ACKS_A_ROUND);
  assert.deepEqual(
    round.acked.filter((id) => counts.get(id) !== 1),
    [],
    "each acknowledged write has one line",
  );
  assert.equal(Math.max(...counts.values()), 1);
  assert.equal(text.includes(TOKEN) || text.includes(SECRET), false);
  assert.match(text, /^[\x20-\x7e\n]*$/, "ASCII: no other line ends");
  rmSync(directory, { recursive: true });
});
