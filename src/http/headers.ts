//! An ordered list of header fields. Names are lower-case, values are Latin-1 text, as on the wire.

/** Two parallel arrays: the fastest shape for the few fields that a message has. */
export class Headers {
  readonly names: string[] = [];
  readonly values: string[] = [];

  /** The first value of `name` (lower-case), or undefined. */
  get(name: string): string | undefined {
    const index = this.names.indexOf(name);
    return index === -1 ? undefined : this.values[index];
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** The value of `name`; all of them, in order, where it is there several times. */
  find(name: string): string | readonly string[] | undefined {
    const index = this.names.indexOf(name);
    if (index === -1) return undefined;
    return this.names.indexOf(name, index + 1) === -1 ? this.values[index] : this.getAll(name);
  }

  /** All values of `name`, in order. */
  getAll(name: string): string[] {
    return this.values.filter((_value, index) => this.names[index] === name);
  }

  /** Appends a field. The caller has checked name and value (see `isFieldName`, `isFieldValue`). */
  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  /** Replaces the first field of that name in its place and drops the others; appends if absent. */
  set(name: string, value: string): void {
    const index = this.names.indexOf(name);
    if (index === -1) {
      this.add(name, value);
      return;
    }
    this.values[index] = value;
    this.#removeFrom(name, index + 1);
  }

  /** Drops every field of that name. */
  remove(name: string): void {
    const index = this.names.indexOf(name);
    if (index !== -1) this.#removeFrom(name, index);
  }

  get size(): number {
    return this.names.length;
  }

  #removeFrom(name: string, start: number): void {
    for (let index = this.names.length - 1; index >= start; index--) {
      if (this.names[index] !== name) continue;
      this.names.splice(index, 1);
      this.values.splice(index, 1);
    }
  }
}
