//! Guest bytes to header text and back. Header text is Latin-1: one character per byte on the wire.

/** A field name (RFC 9110 section 5.1), or a pseudo name with its colon. */
const FIELD_NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Bytes that would end or split a field line (RFC 9110 section 5.5). */
const LINE_BREAKING = new RegExp("[\\0\\r\\n]");

/** The bytes as Latin-1 text. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The bytes as UTF-8 text; malformed bytes become U+FFFD. */
export function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** The lower-case field name, or null when the bytes cannot be one. */
export function fieldName(bytes: Uint8Array): string | null {
  const text = latin1(bytes);
  return FIELD_NAME.test(text) ? text.toLowerCase() : null;
}

/** The field value, or null when a codec could not write it without splitting the message. */
export function fieldValue(bytes: Uint8Array): string | null {
  const text = latin1(bytes);
  return LINE_BREAKING.test(text) ? null : text;
}
