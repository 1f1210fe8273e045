//! A place to measure at: whoever gives a probe sees every entry into the guest and every call that
//! the guest makes of its host. Without one nothing stands in between.

export type GuestFunction = (...parameters: never[]) => unknown;

export interface GuestProbe {
  /** What stands in for an exported callback. */
  callback(name: string, run: GuestFunction): GuestFunction;
  /** What stands in for a host function. */
  hostFunction(name: string, run: GuestFunction): GuestFunction;
}

/** The import object with the probe before every function. */
export function probedImports<Functions extends Record<string, GuestFunction>>(
  imports: Record<string, Functions>,
  probe: GuestProbe,
): Record<string, Record<string, GuestFunction>> {
  const probed: Record<string, Record<string, GuestFunction>> = {};
  for (const [module, functions] of Object.entries(imports)) {
    const entries = Object.entries(functions).map(
      ([name, run]) => [name, probe.hostFunction(name, run)] as const,
    );
    probed[module] = Object.fromEntries(entries);
  }
  return probed;
}
