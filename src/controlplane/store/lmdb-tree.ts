//! Whether the trees of an LMDB file hold together: LMDB follows their pointers without looking, so
//! that one flipped bit in a page's head may end the process (SIGSEGV, SIGABRT) or lose records in
//! silence. What stands in the records is not looked at: they have checksums of their own.
//!
//! The layout is that of mdb.c (`MDB_page`, `MDB_node`, `MDB_db`, `MDB_ovpage`), of 64 bits and
//! little-endian, without DUPSORT.

/** Of one file: a page's bytes, good until the next call; null: it cannot be read. */
export type PageReader = (page: number) => Buffer | null;

export interface LmdbTrees {
  readonly read: PageReader;
  readonly pageBytes: number;
  readonly lastPage: bigint;
  /** `MDB_db` of the free pages and of the named tables. */
  readonly free: Buffer;
  readonly tables: Buffer;
}

export const DB_BYTES = 48;
const PAGE_HEAD_BYTES = 24;
const NODE_HEAD_BYTES = 8;
const POINTER_BYTES = 2;
const OVERFLOW_REFERENCE_BYTES = 24;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const BIG_DATA = 0x01;
const SUB_DATABASE = 0x02;
const NODE_FLAGS = BIG_DATA | SUB_DATABASE;
/** In `MDB_db`. */
const ROOT_AT = 40;
/** In a page's head. */
const TRANSACTION_AT = 8;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const FIRST_PAGE = 2n;
/** LMDB's own: `CURSOR_STACK`. */
const DEPTH_MAX = 32;

interface Node {
  readonly flags: number;
  readonly dataBytes: number;
  /** In a branch: the page below. */
  readonly child: bigint;
  /** In a leaf, unless it is `BIG_DATA`: where it is in the page. */
  readonly dataAt: number;
}

class Fault extends Error {}

/** What is wrong with the first page that cannot be; null when all is well. */
export function faultInTrees(trees: LmdbTrees): string | null {
  const seen = new Set<bigint>();
  try {
    walkTree(trees, trees.free, seen);
    walkTree(trees, trees.tables, seen);
    return null;
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}

/**
 * Each transaction writes the tables' root anew, and the one before is not used again yet: a header
 * of another age than its root would bring old objects back, which are whole.
 */
export function isOfAge(tables: Buffer, transaction: bigint, read: PageReader): boolean {
  const root = tables.readBigUInt64LE(ROOT_AT);
  return root === NO_PAGE || read(Number(root))?.readBigUInt64LE(TRANSACTION_AT) === transaction;
}

function walkTree(trees: LmdbTrees, database: Buffer, seen: Set<bigint>): void {
  const root = database.readBigUInt64LE(ROOT_AT);
  const depth = database.readUInt16LE(6);
  const entries = database.readBigUInt64LE(32);
  if (root === NO_PAGE) {
    if (entries !== 0n || depth !== 0) throw new Fault("a table without pages has entries");
    return;
  }
  if (depth === 0 || depth > DEPTH_MAX) throw new Fault(`a table has a depth of ${depth}`);
  const found = walkPage(trees, root, depth, seen);
  if (BigInt(found) === entries) return;
  throw new Fault(`a table has ${found} records of ${entries}`);
}

/** Returns how many records are below. */
function walkPage(trees: LmdbTrees, at: bigint, depth: number, seen: Set<bigint>): number {
  const page = readPage(trees, at, 1, seen);
  const kind = page.readUInt16LE(18);
  if (kind !== (depth === 1 ? LEAF : BRANCH)) throw new Fault(`page ${at} is of kind ${kind}`);
  const nodes = nodesOf(page, at);
  if (kind === BRANCH) {
    const below = nodes.map(({ child }) => walkPage(trees, child, depth - 1, seen));
    return below.reduce((sum, count) => sum + count, 0);
  }
  // What is in the page is gone with the next one that is read.
  const databases = nodes
    .filter(({ flags }) => flags === SUB_DATABASE)
    .map(({ dataAt }) => Buffer.from(page.subarray(dataAt, dataAt + DB_BYTES)));
  const large = nodes
    .filter(({ flags }) => flags === BIG_DATA)
    .map(({ dataAt, dataBytes }) => ({ at: page.readBigUInt64LE(dataAt), dataBytes }));
  for (const one of large) readOverflow(trees, one.at, one.dataBytes, seen);
  for (const one of databases) walkTree(trees, one, seen);
  return nodes.length;
}

function readPage(trees: LmdbTrees, at: bigint, count: number, seen: Set<bigint>): Buffer {
  if (at < FIRST_PAGE || at + BigInt(count) - 1n > trees.lastPage) {
    throw new Fault(`page ${at} is named, of ${trees.lastPage + 1n}`);
  }
  for (let one = at; one < at + BigInt(count); one += 1n) {
    if (seen.has(one)) throw new Fault(`page ${one} is used twice`);
    seen.add(one);
  }
  const page = trees.read(Number(at));
  if (page === null) throw new Fault(`page ${at} cannot be read`);
  const number = page.readBigUInt64LE(0);
  if (number !== at) throw new Fault(`page ${at} says that it is page ${number}`);
  return page;
}

function readOverflow(trees: LmdbTrees, at: bigint, bytes: number, seen: Set<bigint>): void {
  const count = Math.floor((PAGE_HEAD_BYTES - 1 + bytes) / trees.pageBytes) + 1;
  const page = readPage(trees, at, count, seen);
  const kind = page.readUInt16LE(18);
  if (kind !== OVERFLOW) throw new Fault(`page ${at} is of kind ${kind}`);
  const said = page.readUInt32LE(20);
  if (said !== count) throw new Fault(`page ${at} has ${said} pages for ${bytes} bytes`);
}

function nodesOf(page: Buffer, at: bigint): Node[] {
  const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)];
  const space = page.length - PAGE_HEAD_BYTES;
  if (lower % POINTER_BYTES !== 0 || lower > upper || upper > space) {
    throw new Fault(`page ${at} says that ${lower} to ${upper} of its ${space} bytes are free`);
  }
  if (lower === 0) throw new Fault(`page ${at} is empty`);
  return Array.from({ length: lower / POINTER_BYTES }, (_, index) => {
    const pointer = page.readUInt16LE(PAGE_HEAD_BYTES + index * POINTER_BYTES);
    const isWithin = pointer >= upper && pointer + NODE_HEAD_BYTES <= space;
    const node = isWithin ? nodeAt(page, PAGE_HEAD_BYTES + pointer) : null;
    if (node === null) throw new Fault(`node ${index} of page ${at} reaches behind it`);
    return node;
  });
}

function nodeAt(page: Buffer, at: number): Node | null {
  const isLeaf = page.readUInt16LE(18) === LEAF;
  const dataBytes = page.readUInt32LE(at);
  const flags = page.readUInt16LE(at + 4);
  const dataAt = at + NODE_HEAD_BYTES + page.readUInt16LE(at + 6);
  const child = BigInt(dataBytes) | (BigInt(flags) << 32n);
  if (!isLeaf) return dataAt <= page.length ? { flags, dataBytes, child, dataAt } : null;
  const isKnown = (flags & ~NODE_FLAGS) === 0 && flags !== NODE_FLAGS;
  const isDatabase = flags === SUB_DATABASE;
  if (!isKnown || (isDatabase && dataBytes !== DB_BYTES)) return null;
  const within = flags === BIG_DATA ? OVERFLOW_REFERENCE_BYTES : dataBytes;
  return dataAt + within <= page.length ? { flags, dataBytes, child, dataAt } : null;
}
