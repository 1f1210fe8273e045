//! The headers of a call in the forms in which clients take them: an object, a list of names and
//! values in turn, or pairs.

import type { Carried } from "../carry.ts";
import type { Hop, HeaderLookup } from "./hops.ts";

type Pair = readonly [name: string, value: unknown];

/** What the call will have: its own headers, else those carried on. */
export function lookupIn(headers: unknown, carried: Carried): HeaderLookup {
  const own = pairsOf(headers);
  return (name) => {
    const found = own.find(([each]) => each.toLowerCase() === name)?.[1];
    if (found !== undefined) return Array.isArray(found) ? found.join(", ") : textOf(found);
    return carried.find(([each]) => each === name)?.[1];
  };
}

/**
 * A copy in the same form, with what is carried on and the hop's context. `host`: the name under
 * which the service is called, for clients that would write the endpoint's; a name of the app's own
 * stays.
 */
export function withContext(
  headers: unknown,
  { carried, hop, host }: { readonly carried: Carried; readonly hop: Hop; readonly host?: string },
): unknown {
  const { context } = hop;
  const own = pairsOf(headers);
  const names = new Set(own.map(([name]) => name.toLowerCase()));
  const kept = own.filter(([name]) => !context.has(name.toLowerCase()));
  const added: Pair[] = carried.filter(([name]) => !names.has(name) && !context.has(name));
  for (const [name, value] of context) if (value !== null) added.push([name, value]);
  if (host !== undefined && !names.has("host")) added.push(["Host", host]);
  const pairs = [...kept, ...added];
  if (Array.isArray(headers)) return Array.isArray(headers[0]) ? pairs : pairs.flat();
  return isIterable(headers) ? pairs.flat() : fromPairs(headers, pairs);
}

/** Symbols of an object stay: HTTP/2 marks headers by them that are not to be indexed. */
function fromPairs(headers: unknown, pairs: readonly Pair[]): unknown {
  const made: Record<string | symbol, unknown> = Object.fromEntries(pairs);
  if (typeof headers !== "object" || headers === null) return made;
  for (const symbol of Object.getOwnPropertySymbols(headers)) {
    made[symbol] = Reflect.get(headers, symbol);
  }
  return made;
}

function isIterable(headers: unknown): headers is Iterable<Pair> {
  return typeof headers === "object" && headers !== null && Symbol.iterator in headers;
}

function pairsOf(headers: unknown): readonly Pair[] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) {
    const words: readonly unknown[] = headers;
    if (Array.isArray(words[0])) return words as readonly Pair[];
    const count = Math.floor(words.length / 2);
    return Array.from({ length: count }, (_, at) => [textOf(words[2 * at]), words[2 * at + 1]]);
  }
  if (isIterable(headers)) return [...headers];
  return Object.entries(headers as Readonly<Record<string, unknown>>);
}

/** Undici takes names and values as bytes, too. */
function textOf(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString("latin1") : String(value);
}
