//! Counts the exchanges on each runtime, so that a swap's end is known: when may what the old
//! runtime named be taken away?

/** The exchanges of one runtime. */
export class RuntimeUse {
  readonly #onEmpty: () => void;
  #count = 0;
  #isRetired = false;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  get isDrained(): boolean {
    return this.#count === 0;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#isRetired && this.#count === 0) this.#onEmpty();
  }

  retire(): void {
    this.#isRetired = true;
  }
}

export class RuntimeUses {
  current: RuntimeUse = this.#make();
  readonly #retired = new Set<RuntimeUse>();
  #waiters: { readonly uses: Set<RuntimeUse>; readonly resolve: () => void }[] = [];

  /** A new runtime is in place: what runs on the old one is counted to its end. */
  swap(): void {
    const old = this.current;
    this.current = this.#make();
    old.retire();
    if (!old.isDrained) this.#retired.add(old);
  }

  /** Resolves when every exchange on a runtime retired by now has ended. */
  drained(): Promise<void> {
    if (this.#retired.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ uses: new Set(this.#retired), resolve });
    });
  }

  #make(): RuntimeUse {
    const use: RuntimeUse = new RuntimeUse(() => {
      this.#onDrained(use);
    });
    return use;
  }

  #onDrained(use: RuntimeUse): void {
    this.#retired.delete(use);
    for (const waiter of this.#waiters) waiter.uses.delete(use);
    const ready = this.#waiters.filter(({ uses }) => uses.size === 0);
    this.#waiters = this.#waiters.filter(({ uses }) => uses.size > 0);
    for (const { resolve } of ready) resolve();
  }
}
