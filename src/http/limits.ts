//! The limits of the HTTP codecs. Each names the fault that a peer gets when it reaches it.

/**
 * Bytes of a request or response head, from the first byte of the start line to the empty line,
 * both included. Over it: `head_too_large` (431). As large as what nginx and Envoy allow.
 */
export const HEAD_BYTES_MAX: number = 64 * 1024;

/** Fields of one head, or of one trailer section. Over it: `too_many_fields` (431). */
export const FIELD_COUNT_MAX = 128;

/** Bytes of a request target. Over it: `target_too_long` (414). RFC 9112 asks for 8000. */
export const TARGET_BYTES_MAX: number = 16 * 1024;

/**
 * Bytes of a method. Over it: `method_too_long` (501, RFC 9112 section 3). The longest registered
 * one has 17 (UPDATEREDIRECTREF).
 */
export const METHOD_BYTES_MAX = 32;

/** Bytes of a whole trailer section, with its empty line. Over it: `trailers_too_large` (431). */
export const TRAILER_BYTES_MAX: number = 8 * 1024;

/** Bytes of one chunk-size line with its extensions and CR LF. Over it: `chunk_line_too_long`. */
export const CHUNK_LINE_BYTES_MAX = 512;

/**
 * Bytes of chunk extensions in one message. Over it: `chunk_extensions_too_large`. Without it a
 * peer makes us read hundreds of bytes for each byte of body (CVE-2023-39326 was that).
 */
export const CHUNK_EXTENSION_BYTES_MAX: number = 16 * 1024;

/** Interim responses (1xx) before one final response. Over it: `too_many_informational`. */
export const INFORMATIONAL_COUNT_MAX = 16;

/** The limits that a listener or a cluster may set for itself. */
export interface Limits {
  readonly headBytesMax: number;
  readonly fieldCountMax: number;
  readonly targetBytesMax: number;
  readonly trailerBytesMax: number;
  readonly chunkLineBytesMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  headBytesMax: HEAD_BYTES_MAX,
  fieldCountMax: FIELD_COUNT_MAX,
  targetBytesMax: TARGET_BYTES_MAX,
  trailerBytesMax: TRAILER_BYTES_MAX,
  chunkLineBytesMax: CHUNK_LINE_BYTES_MAX,
};
