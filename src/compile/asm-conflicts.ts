//! VirtualServices that stand beside the routes that ASM's lane objects make. ASM says not to mix
//! the two; here the user's own routes are tried first, and both sides are named.

import type { AsmRequestMatch } from "../resources/kinds/asm-ingress.ts";
import type { HttpRoute, StringMatch } from "../resources/kinds/virtual-service.ts";
import type { AsmRoute } from "./asm-routes.ts";
import type { Gateways } from "./gateway.ts";
import type { MessageList } from "./messages.ts";
import { keyOf } from "./resource-index.ts";
import { isWithin, logicalNames } from "./route-table.ts";
import type { Binding } from "./route-table.ts";

/** `own`: the bindings of the user's VirtualServices. */
export function reportAsmConflicts(
  routes: readonly AsmRoute[],
  own: readonly Binding[],
  gateways: Gateways,
  messages: MessageList,
): void {
  if (routes.length === 0) return;
  const byGateway = new Map<string, Neighbour[]>();
  for (const user of own) {
    const hosts = user.resource.spec.hosts.map((host) => host.toLowerCase());
    for (const name of logicalNames(user, gateways)) {
      const users = byGateway.get(name) ?? [];
      byGateway.set(name, users);
      users.push({ user, hosts });
    }
  }
  for (const route of routes) {
    const names = logicalNames(route.binding, gateways);
    const reported = new Set<Binding>();
    for (const neighbour of names.flatMap((name) => byGateway.get(name) ?? [])) {
      if (reported.has(neighbour.user)) continue;
      reported.add(neighbour.user);
      reportPair(route, neighbour, messages);
    }
  }
}

/** A VirtualService at the same gateway. */
interface Neighbour {
  readonly user: Binding;
  /** Lower-case. */
  readonly hosts: readonly string[];
}

function reportPair(route: AsmRoute, { user, hosts }: Neighbour, messages: MessageList): void {
  const { resource } = route.binding;
  const name = keyOf(user.resource);
  for (const made of resource.spec.hosts) {
    const same = hosts.find((host) => isWithin(host, made));
    const index = same === undefined ? -1 : firstTaking(user, route);
    if (index !== -1) {
      messages.add(resource, {
        severity: "warning",
        code: "GL0360",
        path: route.path,
        message:
          `the VirtualService ${name} has a route for such requests of the host ${same} too ` +
          `(http[${index}]): that one is tried first`,
        remedy: "Write the routes of a lane group either in ASM's objects or in a VirtualService.",
      });
      return;
    }
    if (same !== undefined || !hosts.some((host) => isWithin(made, host))) continue;
    messages.add(resource, {
      severity: "warning",
      code: "GL0360",
      path: route.path,
      message:
        `the host ${made} is narrower than those of the VirtualService ${name}, whose routes do ` +
        "not serve there any more",
      remedy: "Name the same host in both, or write the VirtualService's routes for this host too.",
    });
    return;
  }
}

function firstTaking({ resource }: Binding, { matches }: AsmRoute): number {
  return (resource.spec.http ?? []).findIndex((entry) => mayTake(entry, matches));
}

function mayTake({ match: own = [] }: HttpRoute, matches: readonly AsmRequestMatch[]): boolean {
  if (own.length === 0 || matches.length === 0) return true;
  return own.some((one) => matches.some((other) => mayMeetBoth(one, other)));
}

/** Whether one request may meet both, by their paths and the headers that both name. */
function mayMeetBoth(one: AsmRequestMatch, other: AsmRequestMatch): boolean {
  if (!mayEqual(one.uri, other.uri)) return false;
  return Object.entries(one.headers ?? {}).every(([name, match]) => {
    const same = Object.entries(other.headers ?? {}).find(
      ([key]) => key.toLowerCase() === name.toLowerCase(),
    );
    return same === undefined || mayEqual(match, same[1]);
  });
}

function mayEqual(one: StringMatch = {}, other: StringMatch = {}): boolean {
  if (one.exact !== undefined) return mayBe(other, one.exact);
  if (other.exact !== undefined) return mayBe(one, other.exact);
  const { prefix: a } = one;
  const { prefix: b } = other;
  return a === undefined || b === undefined || a.startsWith(b) || b.startsWith(a);
}

/** A regular expression may match anything here: a needless warning is better than none. */
function mayBe({ exact, prefix }: StringMatch, text: string): boolean {
  if (exact !== undefined) return exact === text;
  return prefix === undefined || text.startsWith(prefix);
}
