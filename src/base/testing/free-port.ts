//! Ports for the servers of tests and benchmarks that must be told theirs beforehand.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/**
 * Below the ports that systems give to connections and to servers that ask for port 0 (Linux from
 * 32768, others from 49152), and below those of pods (20000 to 31999): no other test of this moment
 * gets one of these by chance. The Go SDK's own tests fix 18000 and some above.
 */
const PORT_MIN = 10_000;
const PORT_END = 18_000;

/** A file for each port that was given, with the process that may listen there at any time. */
const GIVEN = join(tmpdir(), `graylane-test-ports-${userInfo().uid}`);
const given: string[] = [];

/**
 * A port of 127.0.0.1 on which nobody listens, another one each time. It is this process' own until
 * it ends: others pass it over also while nobody listens there, as between two servers of a test.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_END);
    if (take(port) && (await isFree(port))) return port;
  }
}

function take(port: number): boolean {
  const file = join(GIVEN, String(port));
  try {
    mkdirSync(GIVEN, { recursive: true });
    writeFileSync(file, String(process.pid), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // A process that was killed could not give its ports back.
    if (!isRunning(ownerOf(file))) rmSync(file, { force: true });
    return false;
  }
  if (given.push(file) === 1) process.once("exit", giveBack);
  return true;
}

/** 0: it is just being written, or has just been given back. */
function ownerOf(file: string): number {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch {
    return 0;
  }
}

function isRunning(pid: number): boolean {
  if (pid === 0) return true;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function giveBack(): void {
  for (const file of given) rmSync(file, { force: true });
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
