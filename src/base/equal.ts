//! Equality of plain data. What says the same as before can stay the same object, so that nobody
//! hashes or encodes it again. (A fifth of the time that `node:util`'s `isDeepStrictEqual` takes.)

/** Of what JSON can say: `undefined` members count, the order of members does not. */
export function isEqual(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (!isObject(one) || !isObject(other)) return false;
  if (Array.isArray(one)) return Array.isArray(other) && areItemsEqual(one, other);
  return !Array.isArray(other) && areMembersEqual(one, other);
}

/** `after` with the entries of `before` that equal its own; `before` itself if all do. */
export function keepEqual<Entry>(
  before: Readonly<Record<string, Entry>>,
  after: Readonly<Record<string, Entry>>,
): Readonly<Record<string, Entry>> {
  let isSame = Object.keys(before).length === Object.keys(after).length;
  const entries: Record<string, Entry> = {};
  for (const [name, entry] of Object.entries(after)) {
    const old = Object.hasOwn(before, name) ? before[name] : undefined;
    const isKept = old !== undefined && isEqual(old, entry);
    entries[name] = isKept ? old : entry;
    if (!isKept) isSame = false;
  }
  return isSame ? before : entries;
}

function areItemsEqual(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) {
    if (!isEqual(one[index], other[index])) return false;
  }
  return true;
}

type Members = Readonly<Record<string, unknown>>;

function areMembersEqual(one: Members, other: Members): boolean {
  let extra = 0;
  for (const name in one) {
    if (!Object.hasOwn(other, name) || !isEqual(one[name], other[name])) return false;
    extra += 1;
  }
  for (const name in other) if (Object.hasOwn(other, name)) extra -= 1;
  return extra === 0;
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null;
}
