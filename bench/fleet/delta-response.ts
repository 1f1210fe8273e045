//! Reads a DeltaDiscoveryResponse without its resources' content: a thousand clients must not cost
//! more than the server that they measure.

const NAME = 3;
const VERSION = 1;
const RESOURCES = 2;
const TYPE_URL = 4;
const NONCE = 5;
const REMOVED = 6;

export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string }[];
  readonly removed: readonly string[];
}

/** One text for equal texts: a thousand clients are told the same names. */
const texts = new Map<string, string>();
const TEXTS_MAX = 100_000;

function textOf(bytes: Buffer): string {
  const text = bytes.toString("latin1");
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size < TEXTS_MAX) texts.set(text, text);
  return text;
}

export function readResponse(bytes: Buffer): DeltaResponse {
  const response = { typeUrl: "", nonce: "" };
  const resources: { readonly name: string; readonly version: string }[] = [];
  const removed: string[] = [];
  for (const [id, content] of fieldsOf(bytes)) {
    if (id === TYPE_URL) response.typeUrl = textOf(content);
    else if (id === NONCE) response.nonce = content.toString("latin1");
    else if (id === REMOVED) removed.push(textOf(content));
    else if (id === RESOURCES) {
      const resource = { name: "", version: "" };
      for (const [inner, text] of fieldsOf(content)) {
        if (inner === NAME) resource.name = textOf(text);
        else if (inner === VERSION) resource.version = textOf(text);
      }
      resources.push(resource);
    }
  }
  return { ...response, resources, removed };
}

/** All fields of these messages have a length. */
function* fieldsOf(bytes: Buffer): Generator<readonly [id: number, content: Buffer]> {
  for (let offset = 0; offset < bytes.length;) {
    const tag = bytes[offset++] ?? 0;
    if ((tag & 7) !== 2) throw new Error(`a field of wire type ${tag & 7}`);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[offset++];
      if (byte === undefined) throw new Error("the message ends within a length");
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield [tag >> 3, bytes.subarray(offset, offset + length)];
    offset += length;
  }
}
