//! Calls of fetch and of undici: the context's headers are set when a request is handed in.
//!
//! Later would be wrong: a pool hands a request that had to wait to a connection in the context of
//! whoever freed it. The undici within Node and each one installed by the app are patched alike, in
//! the method that all their dispatchers share.

import { attempt, current, mayCarryTo, quietly } from "./carry.ts";
import type { Carried, CarrySettings } from "./carry.ts";
import { onPackage } from "./packages.ts";

interface DispatchOptions {
  readonly origin?: string | URL;
  readonly headers?: unknown;
}

type Dispatch = (this: unknown, options: DispatchOptions, handler: unknown) => boolean;

export const UNDICI: RegExp = /(?:^|[\\/])undici(?:[\\/]index\.js)?$/;
/** Where the undici inside Node, and one installed by the app, keep the dispatcher of fetch. */
export const GLOBAL_DISPATCHER: unique symbol = Symbol.for("undici.globalDispatcher.1") as never;

/** On options that have been looked at: an agent hands them to its pool, and that to a client. */
export const SEEN: unique symbol = Symbol("graylane.seen");
const patched = new WeakSet<object>();

export function patchUndici(settings: CarrySettings): void {
  onPackage(UNDICI, (exports) => {
    const { Client } = exports as { readonly Client: { readonly prototype: object } };
    patchDispatch(Client.prototype, settings);
  });
  const scope = globalThis as unknown as {
    fetch: (...words: unknown[]) => unknown;
  } & Record<symbol, object | undefined>;
  const { fetch: original } = scope;
  // Node loads its undici when fetch or one of its classes is first touched, and not before.
  scope.fetch = function fetch(...words) {
    quietly(() => {
      if (typeof Headers !== "function") return;
      const dispatcher = scope[GLOBAL_DISPATCHER];
      if (dispatcher !== undefined) patchDispatch(dispatcher, settings);
    });
    return original(...words);
  };
}

/** `dispatch` of the nearest prototype that is not one of our own routing objects. */
function patchDispatch(of: object, settings: CarrySettings): void {
  let prototype: object | null = of;
  while (prototype !== null && !isDispatcherClass(prototype)) {
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
  if (prototype === null || patched.has(prototype)) return;
  patched.add(prototype);
  const dispatch = Reflect.get(prototype, "dispatch") as Dispatch;
  const { direct } = settings;
  Reflect.set(
    prototype,
    "dispatch",
    function (this: object, options: DispatchOptions, handler: unknown) {
      if (direct !== null && !Reflect.has(options, SEEN)) {
        const call = { options, handler, dispatch };
        const send = attempt(() => direct.dispatch(this, call));
        if (send !== null) return send();
      }
      const sent = attempt(() => withCarried(this, options, settings)) ?? options;
      return Reflect.apply(dispatch, this, [sent, handler]);
    },
  );
}

function isDispatcherClass(prototype: object): boolean {
  return Object.hasOwn(prototype, "dispatch") && Object.hasOwn(prototype, "constructor");
}

function withCarried(
  dispatcher: object,
  options: DispatchOptions,
  settings: CarrySettings,
): DispatchOptions {
  if (Reflect.has(options, SEEN)) return options;
  const carried = current();
  const isFor = carried.length > 0 && mayCarryTo(hostOf(dispatcher, options), settings);
  const headers = isFor ? addTo(options.headers, carried) : options.headers;
  // Also when there is nothing to set: further down it is another request's context.
  return { ...options, [SEEN]: true, headers } as DispatchOptions;
}

function hostOf(dispatcher: object, options: DispatchOptions): string {
  return originOf(dispatcher, options)?.hostname ?? "";
}

/** A client or pool is made for one origin, and its requests may name none; null: any origin. */
export function originOf(dispatcher: object, { origin }: DispatchOptions): URL | null {
  if (origin !== undefined) return new URL(String(origin));
  const symbol = Object.getOwnPropertySymbols(dispatcher).find(
    ({ description }) => description === "url",
  );
  return symbol === undefined ? null : (Reflect.get(dispatcher, symbol) as URL);
}

/** A list of names and values in turn, an iterable of pairs, or an object. */
function addTo(headers: unknown, carried: Carried): unknown {
  const has = (names: readonly unknown[], name: string): boolean =>
    names.some((each) => String(each).trim().toLowerCase() === name);
  if (Array.isArray(headers)) {
    const words: readonly unknown[] = headers;
    return [...words, ...missingFrom(words.filter(isName))];
  }
  if (isIterable(headers)) {
    const pairs = [...headers];
    return [...pairs.flat(), ...missingFrom(pairs.map(([name]) => name))];
  }
  const own = (headers ?? {}) as Readonly<Record<string, unknown>>;
  const missing = carried.filter(([name]) => !has(Object.keys(own), name));
  return { ...own, ...Object.fromEntries(missing) };

  function missingFrom(names: readonly unknown[]): string[] {
    return carried.filter(([name]) => !has(names, name)).flat();
  }
}

function isName(_word: unknown, index: number): boolean {
  return index % 2 === 0;
}

export function isIterable(headers: unknown): headers is Iterable<readonly unknown[]> {
  return typeof headers === "object" && headers !== null && Symbol.iterator in headers;
}
