//! Listening sockets that a process before this one has opened: workers get them from the main
//! process, and accept at them beside the workers of that other process.

export class InheritedPorts {
  readonly #addresses: ReadonlySet<string>;
  readonly #ask: (address: string) => void;
  readonly #waiting = new Map<string, ((handle: object | null) => void)[]>();

  /** `ask`: `onHandle` brings another handle of the socket at `address`, if it is still there. */
  constructor(addresses: readonly string[], ask: (address: string) => void) {
    this.#addresses = new Set(addresses);
    this.#ask = ask;
  }

  /** A handle of its own to listen with; null: the address is to be opened anew. */
  take(address: string): Promise<object | null> {
    if (!this.#addresses.has(address)) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting.set(address, [...(this.#waiting.get(address) ?? []), resolve]);
      this.#ask(address);
    });
  }

  onHandle(address: string, handle: unknown): void {
    const [first, ...rest] = this.#waiting.get(address) ?? [];
    this.#waiting.set(address, rest);
    first?.(typeof handle === "object" ? handle : null);
  }
}
