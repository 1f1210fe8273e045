//! A MaxMind database, so that rules can read the place of an address.

import { readFile, stat } from "node:fs/promises";
import { Reader } from "maxmind";
import type { Response } from "maxmind";
import { parseJsonPath, textAt } from "../../base/json-path.ts";
import type { JsonPathStep } from "../../base/json-path.ts";

/** The databases for whole countries with cities have a tenth of it. */
const FILE_BYTES_MAX = 1_073_741_824;
/** Short names of what the databases of MaxMind call otherwise. */
const PLACES: Readonly<Record<string, string>> = {
  country: "country.iso_code",
  continent: "continent.code",
  subdivision: "subdivisions[0].iso_code",
  city: "city.names.en",
  asn: "autonomous_system_number",
};

export class GeoDatabase {
  readonly #reader: Reader<Response>;
  readonly #places = new Map<string, readonly JsonPathStep[]>();
  /** Of the file that was read: another means that it has been replaced. */
  readonly identity: string;

  private constructor(bytes: Buffer, identity: string) {
    this.#reader = new Reader<Response>(bytes);
    this.identity = identity;
  }

  /** Rejects with a message for people when the file cannot be read, or is no such database. */
  static async open(path: string, previous: GeoDatabase | null): Promise<GeoDatabase> {
    const { size, mtimeMs, ino } = await stat(path);
    if (size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    const identity = `${path} ${ino} ${size} ${mtimeMs}`;
    if (previous?.identity === identity) return previous;
    return new GeoDatabase(await readFile(path), identity);
  }

  /** As wire text; undefined for an address that the database does not know. */
  read(address: string, place: string): string | undefined {
    let record: unknown;
    try {
      record = this.#reader.get(address);
    } catch {
      // What stands in x-forwarded-for need not be an address.
      return undefined;
    }
    const text = textAt(record, this.#stepsOf(place));
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  }

  #stepsOf(place: string): readonly JsonPathStep[] {
    const known = this.#places.get(place);
    if (known !== undefined) return known;
    const path = Object.hasOwn(PLACES, place) ? PLACES[place] : undefined;
    const steps = parseJsonPath(path ?? place) ?? [];
    // As many as rules name; a new configuration that reads the file anew begins with none.
    this.#places.set(place, steps);
    return steps;
  }
}
