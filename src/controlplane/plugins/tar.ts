//! Reads the files of a tar archive that is wholly in memory (POSIX.1-1988 ustar, with the long
//! names of GNU tar and of POSIX pax). Nothing is ever written to a disk, so a name cannot escape.

export interface TarFile {
  /** Without a leading `./` or `/`. */
  readonly name: string;
  /** A view into the archive. */
  readonly bytes: Uint8Array;
}

const BLOCK_BYTES = 512;
const FILES_MAX = 10_000;
const NAME_BYTES_MAX = 4096;
const MAGIC_AT = 257;

/** Whether the bytes begin with a tar header. */
export function isTar(bytes: Uint8Array): boolean {
  if (bytes.length < BLOCK_BYTES) return false;
  return Buffer.from(bytes.subarray(MAGIC_AT, MAGIC_AT + 5)).toString("latin1") === "ustar";
}

/** Regular files only, in their order. Throws a RangeError on an archive that is cut or too big. */
export function readTar(archive: Uint8Array): TarFile[] {
  const files: TarFile[] = [];
  let longName: string | null = null;
  for (let at = 0; at + BLOCK_BYTES <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) break;
    const size = octal(header.subarray(124, 136));
    const start = at + BLOCK_BYTES;
    if (start + size > archive.length) throw new RangeError("the archive is cut off");
    const bytes = archive.subarray(start, start + size);
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === "L") longName = text(bytes.subarray(0, NAME_BYTES_MAX));
    else if (type === "x") longName = paxPath(bytes) ?? longName;
    else {
      if (type === "0" || type === "\0") {
        if (files.length === FILES_MAX) throw new RangeError(`more than ${FILES_MAX} files`);
        files.push({ name: plainName(longName ?? headerName(header)), bytes });
      }
      longName = null;
    }
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return files;
}

function headerName(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const isUstar = text(header.subarray(MAGIC_AT, MAGIC_AT + 5)) === "ustar";
  const prefix = isUstar ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function plainName(name: string): string {
  return name.replace(/^(?:\.?\/)+/, "");
}

/** Octal digits, or (GNU) a big-endian number with the first bit set. */
function octal(field: Uint8Array): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = 0;
    for (const byte of field.subarray(4)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw new RangeError("a size that cannot be");
    return value;
  }
  const digits = text(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw new RangeError("a size that is no number");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

/** `path` of a pax header: records of the form `<length> <key>=<value>\n`. */
function paxPath(bytes: Uint8Array): string | null {
  const records = text(bytes.subarray(0, NAME_BYTES_MAX * 4)).split("\n");
  for (const record of records) {
    const value = /^\d+ path=(.*)$/.exec(record)?.[1];
    if (value !== undefined) return value.slice(0, NAME_BYTES_MAX);
  }
  return null;
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString("utf8");
}
