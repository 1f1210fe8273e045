//! Compares what a plug-in did with what its case expects, and writes it as an expectation.

import type {
  ExpectedCall,
  ExpectedFields,
  ExpectedMessage,
  Expectation,
  Pair,
  PluginCase,
} from "./case-file.ts";
import type { Observation, SeenCall } from "./case-run.ts";

type Differences = string[];
interface Seen {
  readonly status?: number;
  readonly headers: readonly Pair[];
  readonly body: string;
}

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

function checkMessage(
  what: string,
  expected: ExpectedMessage,
  seen: Seen | null,
  found: Differences,
): void {
  if (seen === null) {
    found.push(`${what}: expected, but there is none`);
    return;
  }
  if (expected.status !== null) compare(`${what}.status`, expected.status, seen.status, found);
  checkFields(`${what}.headers`, expected.headers, seen.headers, found);
  if (expected.body !== null) compare(`${what}.body`, expected.body, seen.body, found);
}

function checkFields(
  what: string,
  expected: ExpectedFields,
  seen: readonly Pair[],
  found: Differences,
): void {
  for (const [name, value] of expected)
    compare(`${what}.${name}`, value, joined(seen, name), found);
}

/** As Envoy joins the values of one name; null when there are none. */
function joined(pairs: readonly Pair[], name: string): string | null {
  const values = pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
  return values.length === 0 ? null : values.join(",");
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

function listOf(lines: readonly string[]): string {
  return lines.length === 0 ? "none" : lines.map((line) => `\n      ${line}`).join("");
}

function checkCalls(
  expected: readonly ExpectedCall[],
  seen: readonly SeenCall[],
  found: Differences,
): void {
  if (expected.length !== seen.length) {
    const made = seen.map(({ cluster, method, path }) => `${method} ${path} to ${cluster}`);
    found.push(`calls: expected ${expected.length}, got ${seen.length}: ${listOf(made)}`);
    return;
  }
  expected.forEach((call, index) => {
    const made = seen[index];
    if (made === undefined) return;
    const what = `calls[${index}]`;
    for (const name of ["cluster", "method", "path", "authority"] as const) {
      if (call[name] !== null) compare(`${what}.${name}`, call[name], made[name], found);
    }
    checkMessage(what, { ...call, status: null }, made, found);
  });
}

function compare(what: string, expected: unknown, seen: unknown, found: Differences): void {
  if (expected !== seen) found.push(`${what}: expected ${shown(expected)}, got ${shown(seen)}`);
}

function shown(value: unknown): string {
  return value === null || value === undefined ? "none" : JSON.stringify(value);
}

/** What was seen, as the least that says it: only what differs from what the case gives. */
export function expectationOf(one: PluginCase, seen: Observation): object {
  const { action, request, response, localReply, logs, calls } = seen;
  const changed = request === null ? {} : changedRequest(one, request);
  const replied = localReply !== null || response === null;
  return {
    action,
    ...(Object.keys(changed).length > 0 && { request: changed }),
    ...(localReply !== null && { localReply: plainMessage(localReply) }),
    ...(!replied && { response: changedResponse(one, response) }),
    ...(logs.length > 0 && { logs: [...logs] }),
    ...(calls.length > 0 && { calls: calls.map(plainCall) }),
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

function changedFields(given: readonly Pair[], seen: readonly Pair[]): Record<string, unknown> {
  const names = new Set([...given, ...seen].map((pair) => pair[0]));
  const changed = [...names].filter((name) => joined(given, name) !== joined(seen, name));
  return Object.fromEntries(changed.map((name) => [name, joined(seen, name)]));
}

function plainMessage({ status, headers, body }: Seen): object {
  return {
    status,
    ...(headers.length > 0 && { headers: changedFields([], headers) }),
    ...(body !== "" && { body }),
  };
}

function plainCall({ cluster, method, path, authority, headers, body }: SeenCall): object {
  const fields = changedFields([], headers);
  return {
    ...{ cluster, method, path, authority },
    ...(headers.length > 0 && { headers: fields }),
    ...(body !== "" && { body }),
  };
}
