//! FNV-1a, 32 bit (Fowler, Noll, Vo; draft-eastlake-fnv). ASM's hash-tagging plug-in uses it.

export const FNV1A_32_OFFSET = 0x811c9dc5;
export const FNV1A_32_PRIME = 0x01000193;

/** FNV-1a 32 of the bytes, as an unsigned number. */
export function fnv1a32(bytes: Uint8Array): number {
  let hash = FNV1A_32_OFFSET;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, FNV1A_32_PRIME);
  return hash >>> 0;
}
