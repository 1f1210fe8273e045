//! The bytes with which a connection of HTTP/2 begins (RFC 9113 section 3.4).

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** `part`: every byte so far fits. No known method of HTTP/1.1 gets past its third byte. */
export function prefaceMatch(bytes: Buffer): "yes" | "part" | "no" {
  // Most first bytes are a G.
  if (bytes[0] !== PREFACE[0]) return "no";
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return "no";
  return length === PREFACE.length ? "yes" : "part";
}
