//! FNV-1a, 32 bit (Fowler, Noll, Vo; draft-eastlake-fnv). ASM's hash-tagging plug-in uses it.

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV-1a 32 of the bytes, as an unsigned number. */
export function fnv1a32(bytes: Uint8Array): number {
  let hash = OFFSET_BASIS;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME);
  return hash >>> 0;
}
