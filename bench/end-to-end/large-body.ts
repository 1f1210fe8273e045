//! What the upstream answers at one path: a mebibyte.

export const LARGE_PATH = "/mebibyte";
export const LARGE_BODY: Buffer = Buffer.alloc(1_048_576, "0123456789abcdef");
