//! The two tables of HPACK (RFC 7541 section 2.3): fields that both sides know by a number.

/** Appendix A, from index 1 on. */
const STATIC: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  ...["200", "204", "206", "304", "400", "404", "500"].map(
    (status) => [":status", status] as const,
  ),
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ...(
    "accept-language accept-ranges accept access-control-allow-origin age allow authorization " +
    "cache-control content-disposition content-encoding content-language content-length " +
    "content-location content-range content-type cookie date etag expect expires from host " +
    "if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link " +
    "location max-forwards proxy-authenticate proxy-authorization range referer refresh " +
    "retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary " +
    "via www-authenticate"
  )
    .split(" ")
    .map((name) => [name, ""] as const),
];

/** By index; index 0 means nothing. */
export const STATIC_NAMES: readonly string[] = ["", ...STATIC.map(([name]) => name)];
export const STATIC_VALUES: readonly string[] = ["", ...STATIC.map(([, value]) => value)];
/** The first index of the dynamic table. */
export const DYNAMIC_INDEX_MIN: number = STATIC_NAMES.length;

/** What each entry counts beside its bytes (section 4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;
/** Of the dynamic table, before anybody says otherwise (RFC 9113 section 6.5.2); ours at most. */
export const TABLE_BYTES_MAX = 4096;

/**
 * First in, first out (section 2.3.2), in a ring. An entry is also known by its number: how many
 * were added before it since the beginning.
 */
export class DynamicTable {
  readonly #names: string[];
  readonly #values: string[];
  readonly #mask: number;
  #bytes = 0;
  #bytesMax: number;
  /** Entries that were ever added, and that are gone. */
  #added = 0;
  #dropped = 0;

  constructor(bytesMax: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, bytesMax / ENTRY_OVERHEAD_BYTES)));
    this.#names = new Array<string>(slots).fill("");
    this.#values = new Array<string>(slots).fill("");
    this.#mask = slots - 1;
    this.#bytesMax = bytesMax;
  }

  get added(): number {
    return this.#added;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  name(entry: number): string {
    return this.#names[entry & this.#mask] as string;
  }

  value(entry: number): string {
    return this.#values[entry & this.#mask] as string;
  }

  /** An entry that is larger than the table empties it, and is no error (section 4.4). */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#dropTo(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    this.#names[this.#added & this.#mask] = name;
    this.#values[this.#added & this.#mask] = value;
    this.#bytes += bytes;
    this.#added++;
  }

  /** Not to more than what the constructor was given. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#dropTo(bytesMax);
  }

  #dropTo(bytes: number): void {
    while (this.#bytes > bytes && this.#dropped < this.#added) {
      const slot = this.#dropped & this.#mask;
      this.#bytes -=
        (this.#names[slot] as string).length +
        (this.#values[slot] as string).length +
        ENTRY_OVERHEAD_BYTES;
      this.#names[slot] = "";
      this.#values[slot] = "";
      this.#dropped++;
    }
  }
}
