//! Compares what a plug-in did with what its case expects, and writes it as an expectation.

import { checkCalls, checkDns, checkGrpc, checkRedis, plainCall, plainGrpc } from "./call-check.ts";
import type { Pair } from "./case-calls.ts";
import type { ExpectedMessage, Expectation, PluginCase } from "./case-file.ts";
import type { Observation } from "./case-run.ts";
import { changedFields, checkMessage, compare, listOf, plainMessage } from "./message-check.ts";
import type { Differences } from "./message-check.ts";

/** One line for each difference; none when the case holds. */
export function differences(expect: Expectation, seen: Observation): string[] {
  const found: Differences = [];
  if (expect.action !== null) compare("action", expect.action, seen.action, found);
  if (expect.request !== null) checkRequest(expect.request, seen, found);
  if (expect.response !== null) checkMessage("response", expect.response, seen.response, found);
  if (expect.localReply === "none") {
    if (seen.localReply !== null) found.push(`localReply: expected none, got one`);
  } else if (expect.localReply !== null) {
    checkMessage("localReply", expect.localReply, seen.localReply, found);
  }
  if (expect.logs !== null) checkLogs(expect.logs, seen.logs, found);
  if (expect.calls !== null) checkCalls(expect.calls, seen.calls, found);
  if (expect.grpc !== null) checkGrpc(expect.grpc, seen.grpc, found);
  if (expect.redis !== null) checkRedis(expect.redis, seen.redis, found);
  if (expect.dns !== null) checkDns(expect.dns, seen.dns, found);
  return found;
}

function checkRequest(expected: ExpectedMessage, seen: Observation, found: Differences): void {
  const { request } = seen;
  const withPseudo = request && { ...request, headers: [...pseudoOf(request), ...request.headers] };
  checkMessage("request", expected, withPseudo, found);
}

function pseudoOf(request: { method: string; path: string; authority: string }): Pair[] {
  const { method, path, authority } = request;
  return [
    [":method", method],
    [":path", path],
    [":authority", authority],
  ];
}

function checkLogs(expected: readonly string[], seen: readonly string[], found: Differences): void {
  const isSame =
    expected.length === seen.length && expected.every((line, at) => isLine(line, seen[at] ?? ""));
  if (isSame) return;
  found.push(`logs: expected ${listOf(expected)}, got ${listOf(seen)}`);
}

function isLine(expected: string, seen: string): boolean {
  const pattern = /^\/(.+)\/$/s.exec(expected)?.[1];
  if (pattern === undefined) return expected === seen;
  try {
    return new RegExp(pattern).test(seen);
  } catch {
    return false;
  }
}

/** What was seen, as the least that says it: only what differs from what the case gives. */
export function expectationOf(one: PluginCase, seen: Observation): object {
  const { action, request, response, localReply, logs, calls, grpc, redis, dns } = seen;
  const changed = request === null ? {} : changedRequest(one, request);
  const replied = localReply !== null || response === null;
  return {
    action,
    ...(Object.keys(changed).length > 0 && { request: changed }),
    ...(localReply !== null && { localReply: plainMessage(localReply) }),
    ...(!replied && { response: changedResponse(one, response) }),
    ...(logs.length > 0 && { logs: [...logs] }),
    ...(calls.length > 0 && { calls: calls.map(plainCall) }),
    ...(grpc.length > 0 && { grpc: grpc.map(plainGrpc) }),
    ...(redis.length > 0 && { redis: redis.map((call) => ({ ...call })) }),
    ...(dns.length > 0 && { dns: [...dns] }),
  };
}

function changedRequest(one: PluginCase, seen: NonNullable<Observation["request"]>): object {
  const given = [...pseudoOf(one.request), ...one.request.headers];
  const headers = changedFields(given, [...pseudoOf(seen), ...seen.headers]);
  const body = one.request.chunks.join("");
  return {
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(seen.body !== body && { body: seen.body }),
  };
}

function changedResponse(one: PluginCase, seen: NonNullable<Observation["response"]>): object {
  const headers = changedFields(one.response.headers, seen.headers);
  return {
    status: seen.status,
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(seen.body !== one.response.chunks.join("") && { body: seen.body }),
  };
}
