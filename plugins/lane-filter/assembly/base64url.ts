//! Base64url (RFC 4648, 5) without padding, written in the one way that there is.

const NONE: u8 = 0xff;
const LETTERS = 26;
const BYTES = 256;

const digits = new StaticArray<u8>(BYTES);
for (let index = 0; index < BYTES; index++) unchecked((digits[index] = NONE));
for (let index = 0; index < LETTERS; index++) {
  unchecked((digits[0x41 + index] = <u8>index));
  unchecked((digits[0x61 + index] = <u8>(LETTERS + index)));
}
for (let index = 0; index < 10; index++) unchecked((digits[0x30 + index] = <u8>(52 + index)));
unchecked((digits[0x2d] = 62));
unchecked((digits[0x5f] = 63));

/** How many bytes it stands for; -1: it is not written so. */
export function decodedLength(start: usize, length: usize): i32 {
  const rest = length & 3;
  if (rest == 1) return -1;
  for (let at: usize = 0; at < length; at++) {
    if (unchecked(digits[load<u8>(start + at)]) == NONE) return -1;
  }
  const unused: u8 = rest == 2 ? 15 : rest == 3 ? 3 : 0;
  if (unused != 0 && (unchecked(digits[load<u8>(start + length - 1)]) & unused) != 0) return -1;
  return <i32>((length * 3) >> 2);
}

/** Of what `decodedLength` has found good. */
export function decodeBase64url(into: usize, start: usize, length: usize): void {
  let bits: u32 = 0;
  let count: u32 = 0;
  let to = into;
  for (let at: usize = 0; at < length; at++) {
    bits = (bits << 6) | unchecked(digits[load<u8>(start + at)]);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    store<u8>(to, <u8>(bits >> count));
    to++;
  }
}
