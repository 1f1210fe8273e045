//! The token of the API, and the files through which our own command finds the server.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientFile } from "../api/types.ts";

const TOKEN_BYTES = 32;
const TOKEN_FILE = "admin.token";
const XDS_TOKEN_FILE = "xds.token";
const CLIENT_FILE = "client.json";
const KUBECONFIG_FILE = "kubeconfig";

/** The token of this state directory: the one it has, or a new one. Readable by its owner only. */
export function ensureToken(stateDirectory: string): string {
  return ensureTokenIn(stateDirectory, TOKEN_FILE);
}

/** What an Envoy shows to be told private keys: of no other use. */
export function ensureXdsToken(stateDirectory: string): string {
  return ensureTokenIn(stateDirectory, XDS_TOKEN_FILE);
}

function ensureTokenIn(stateDirectory: string, file: string): string {
  const path = join(stateDirectory, file);
  const known = readOrNull(path)?.trim();
  if (known !== undefined && /^[0-9a-f]{64}$/.test(known)) return known;
  const token = randomBytes(TOKEN_BYTES).toString("hex");
  writePrivate(stateDirectory, file, `${token}\n`);
  return token;
}

/** Says where the server is; written when it listens, removed when it stops. */
export function writeClientFile(stateDirectory: string, client: ClientFile): void {
  writePrivate(stateDirectory, CLIENT_FILE, `${JSON.stringify(client, null, 2)}\n`);
}

export function removeClientFile(stateDirectory: string): void {
  rmSync(join(stateDirectory, CLIENT_FILE), { force: true });
}

/** What `kubectl --kubeconfig` takes; JSON is YAML. Returns the file's path. */
export function writeKubeconfig(
  stateDirectory: string,
  client: ClientFile & { readonly cert: string },
): string {
  const name = "graylane";
  const server = client.server.replace(/^http:/, "https:");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": base64(client.cert) } }],
    users: [{ name, user: { token: client.token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: "default" } }],
    "current-context": name,
  };
  writePrivate(stateDirectory, KUBECONFIG_FILE, `${JSON.stringify(config, null, 2)}\n`);
  return join(stateDirectory, KUBECONFIG_FILE);
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Whole or not at all, and never readable by others, not even for a moment. */
export function writePrivate(directory: string, name: string, text: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = join(directory, `${name}.${process.pid}`);
  rmSync(draft, { force: true });
  writeFileSync(draft, text, { mode: 0o600, flag: "wx" });
  renameSync(draft, join(directory, name));
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** In equal time, whatever the lengths and wherever they differ. */
export function isSameToken(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
