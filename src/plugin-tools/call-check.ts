//! Compares calls of a plug-in with those that its case expects, and writes them as expectations.

import { isUtf8 } from "node:buffer";
import type { SeenCall, SeenGrpc, SeenRedis } from "./case-answers.ts";
import type { ExpectedGrpc, ExpectedRedis } from "./case-calls.ts";
import type { ExpectedCall } from "./case-file.ts";
import { changedFields, checkFields, checkMessage, compare, listOf } from "./message-check.ts";
import type { Differences } from "./message-check.ts";

/** The calls of both sides in pairs; none, and noted, when one side has more. */
function pairs<Expected, Seen>(
  what: { readonly name: string; readonly shown: (seen: Seen) => string },
  expected: readonly Expected[],
  seen: readonly Seen[],
  found: Differences,
): (readonly [what: string, expected: Expected, seen: Seen])[] {
  if (expected.length === seen.length) {
    return expected.map((one, index) => [`${what.name}[${index}]`, one, seen[index] as Seen]);
  }
  const made = listOf(seen.map(what.shown));
  found.push(`${what.name}: expected ${expected.length}, got ${seen.length}: ${made}`);
  return [];
}

const CALLS = {
  name: "calls",
  shown: ({ cluster, method, path }: SeenCall) => `${method} ${path} to ${cluster}`,
};
const GRPC = {
  name: "grpc",
  shown: ({ cluster, service, method }: SeenGrpc) => `${service}/${method} to ${cluster}`,
};
const REDIS = {
  name: "redis",
  shown: ({ cluster, command }: SeenRedis) => `${command.join(" ")} to ${cluster}`,
};

export function checkCalls(
  expected: readonly ExpectedCall[],
  seen: readonly SeenCall[],
  found: Differences,
): void {
  for (const [what, call, made] of pairs(CALLS, expected, seen, found)) {
    for (const name of ["cluster", "method", "path", "authority"] as const) {
      if (call[name] !== null) compare(`${what}.${name}`, call[name], made[name], found);
    }
    checkMessage(what, { ...call, status: null }, made, found);
  }
}

export function checkGrpc(
  expected: readonly ExpectedGrpc[],
  seen: readonly SeenGrpc[],
  found: Differences,
): void {
  for (const [what, call, made] of pairs(GRPC, expected, seen, found)) {
    for (const name of ["cluster", "service", "method", "authority", "state"] as const) {
      if (call[name] !== null) compare(`${what}.${name}`, call[name], made[name], found);
    }
    checkFields(`${what}.metadata`, call.metadata, made.metadata, found);
    if (call.messages === null) continue;
    const [wanted, sent] = [call.messages, made.messages].map(textsOf);
    compareLists(`${what}.messages`, wanted ?? [], sent ?? [], found);
  }
}

export function checkRedis(
  expected: readonly ExpectedRedis[],
  seen: readonly SeenRedis[],
  found: Differences,
): void {
  for (const [what, call, made] of pairs(REDIS, expected, seen, found)) {
    if (call.cluster !== null) compare(`${what}.cluster`, call.cluster, made.cluster, found);
    if (call.database !== null) compare(`${what}.database`, call.database, made.database, found);
    if (call.command !== null) compareLists(`${what}.command`, call.command, made.command, found);
  }
}

export function checkDns(
  expected: readonly string[],
  seen: readonly string[],
  found: Differences,
): void {
  compareLists("dns", expected, seen, found);
}

function compareLists(
  what: string,
  expected: readonly string[],
  seen: readonly string[],
  found: Differences,
): void {
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(seen)];
  if (wanted !== got) found.push(`${what}: expected ${wanted}, got ${got}`);
}

export function plainCall({ cluster, method, path, authority, headers, body }: SeenCall): object {
  const fields = changedFields([], headers);
  return {
    ...{ cluster, method, path, authority },
    ...(headers.length > 0 && { headers: fields }),
    ...(body !== "" && { body }),
  };
}

export function plainGrpc(seen: SeenGrpc): object {
  const { cluster, service, method, authority, metadata, messages, state } = seen;
  return {
    ...{ cluster, service, method },
    ...(authority !== null && { authority }),
    ...(metadata.length > 0 && { metadata: changedFields([], metadata) }),
    ...(messages.length > 0 && { messages: messages.map(plainBytes) }),
    state,
  };
}

const UNPRINTABLE = /[^\P{C}\n\t]/u;

function plainBytes(bytes: Buffer): string | { readonly hex: string } {
  const text = bytes.toString();
  return isUtf8(bytes) && !UNPRINTABLE.test(text) ? text : { hex: bytes.toString("hex") };
}

/** A text, or in hexadecimal digits what is none. */
function textsOf(messages: readonly Buffer[]): string[] {
  return messages.map((message) => {
    const plain = plainBytes(message);
    return typeof plain === "string" ? plain : `hex ${plain.hex}`;
  });
}
