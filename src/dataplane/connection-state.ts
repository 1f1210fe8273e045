//! What all who see a client's connection share, network filters and exchanges: its number, and
//! what plug-ins have stored for as long as it lasts.

import { FilterState } from "./filter/filter-state.ts";

/** Of one connection, from whatever plug-ins: there may be many connections. */
const STORED_MAX = { countMax: 64, bytesMax: 65_536 };

export class ConnectionState {
  static #lastId = 0;
  #id = 0;
  #filterState: FilterState | null = null;

  /** A number of its own in this process. */
  get id(): number {
    if (this.#id === 0) this.#id = ConnectionState.#lastId += 1;
    return this.#id;
  }

  get filterState(): FilterState {
    return (this.#filterState ??= new FilterState(STORED_MAX));
  }

  get isEmpty(): boolean {
    return this.#filterState === null;
  }

  /** What has been stored under that name; makes nothing. */
  stored(name: string): Uint8Array | undefined {
    return this.#filterState?.get(name);
  }
}
