//! On which addresses does a process group listen? Read from /proc, hence known on Linux only.

import { readFileSync, readdirSync, readlinkSync } from "node:fs";

export interface ListeningSocket {
  /** Dotted or colon form; `0.0.0.0` and `::` are the wildcards. */
  readonly address: string;
  readonly port: number;
}

/** TCP_LISTEN in the fourth column of /proc/net/tcp. */
const STATE_LISTEN = "0A";

/** The group's listening TCP sockets; null where /proc does not tell. */
export function listeningSockets(processGroup: number): readonly ListeningSocket[] | null {
  const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(readText);
  if (tables[0] === null) return null;
  const inodes = socketInodes(processGroup);
  return tables.flatMap((table) => parseListening(table ?? "", inodes));
}

/** Rows in state LISTEN whose inode is one of `inodes` (proc(5), /proc/net/tcp). */
export function parseListening(
  table: string,
  inodes: ReadonlySet<string>,
): readonly ListeningSocket[] {
  const found: ListeningSocket[] = [];
  for (const line of table.split("\n").slice(1)) {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    if (state !== STATE_LISTEN || !inodes.has(inode)) continue;
    const [address = "", port = ""] = local.split(":");
    found.push({ address: decodeAddress(address), port: parseInt(port, 16) });
  }
  return found;
}

/** The kernel prints each 32-bit word in host order: little-endian wherever we run. */
function decodeAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    [6, 4, 2, 0].map((at) => parseInt(word.slice(at, at + 2), 16)),
  );
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.every((byte) => byte === 0)) return "::";
  const isMapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff;
  if (isMapped) return bytes.slice(12).join(".");
  const words = bytes.flatMap((byte, index) =>
    index % 2 === 0 ? [(byte * 256 + (bytes[index + 1] ?? 0)).toString(16)] : [],
  );
  return words.join(":");
}

function socketInodes(processGroup: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  for (const pid of readDirectory("/proc")) {
    if (!/^\d+$/.test(pid) || groupOf(pid) !== processGroup) continue;
    for (const fd of readDirectory(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  }
  return inodes;
}

/** Fields after the command's closing bracket: state, parent, group (proc(5), /proc/pid/stat). */
function groupOf(pid: string): number {
  const stat = readText(`/proc/${pid}/stat`) ?? "";
  const afterName = stat.slice(stat.lastIndexOf(")") + 2);
  return Number(afterName.split(" ")[2] ?? -1);
}

// Processes come and go while we look: what cannot be read is not there.
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function readDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
