//! Packages of the app that the agent must meet when they are loaded, by `require` or `import`.
//!
//! What a bundler has put into one file is not met, and stays as it is.

import Module from "node:module";
import { quietly } from "./carry.ts";

type Load = (this: unknown, request: string, ...words: unknown[]) => unknown;
type Patch = (exports: object) => void;

/** By the name or the path that a package is loaded by. */
const patches: {
  readonly pattern: RegExp;
  readonly patch: Patch;
  readonly done: WeakSet<object>;
}[] = [];

/** `patch` runs once for each copy of the package. */
export function onPackage(pattern: RegExp, patch: Patch): void {
  if (patches.length === 0) patchLoader();
  patches.push({ pattern, patch, done: new WeakSet() });
}

function patchLoader(): void {
  const loader = Module as unknown as { _load: Load };
  const load = loader._load;
  loader._load = function (request, ...words) {
    const loaded = Reflect.apply(load, this, [request, ...words]);
    quietly(() => {
      meet(request, loaded);
    });
    return loaded;
  };
}

function meet(request: unknown, loaded: unknown): void {
  if (typeof request !== "string" || typeof loaded !== "object" || loaded === null) return;
  for (const { pattern, patch, done } of patches) {
    if (!pattern.test(request) || done.has(loaded)) continue;
    done.add(loaded);
    patch(loaded);
  }
}
