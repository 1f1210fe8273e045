//! Nacos' gRPC message: a type, headers, and a body in JSON.
//!
//! <https://github.com/alibaba/nacos/blob/2.4.3/api/src/main/proto/nacos_grpc_service.proto>

import { isRecord } from "../publish/inputs.ts";
import { WIRE_BYTES, WireReader, WireWriter } from "../xds/wire.ts";

export type JsonRecord = Readonly<Record<string, unknown>>;

export interface NacosPayload {
  /** The name of the request's or the response's class. */
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonRecord;
}

const METADATA = 2;
const BODY = 3;
const METADATA_TYPE = 3;
const METADATA_HEADERS = 7;
/** Of a map's entry. */
const [KEY, VALUE] = [1, 2];
/** Of google.protobuf.Any. */
const ANY_VALUE = 2;

export function encodePayload({ type, headers, body }: NacosPayload): Buffer {
  const metadata = message((writer) => {
    field(writer, METADATA_TYPE, Buffer.from(type, "utf8"));
    for (const [name, value] of Object.entries(headers)) {
      const entry = message((pair) => {
        field(pair, KEY, Buffer.from(name, "utf8"));
        field(pair, VALUE, Buffer.from(value, "utf8"));
      });
      field(writer, METADATA_HEADERS, entry);
    }
  });
  const any = message((writer) => {
    field(writer, ANY_VALUE, Buffer.from(JSON.stringify(body), "utf8"));
  });
  return message((writer) => {
    field(writer, METADATA, metadata);
    field(writer, BODY, any);
  });
}

/** Throws where it is none. */
export function decodePayload(bytes: Uint8Array): NacosPayload {
  const [metadata, any] = [METADATA, BODY].map((id) => partsOf(bytes, id).at(-1));
  const type = textOf(metadata, METADATA_TYPE);
  const text = textOf(any, ANY_VALUE) || "{}";
  const pairs = partsOf(metadata, METADATA_HEADERS);
  const headers = Object.fromEntries(pairs.map((pair) => [textOf(pair, KEY), textOf(pair, VALUE)]));
  const body: unknown = JSON.parse(text);
  if (!isRecord(body)) throw new Error(`the body of ${type} is no JSON object`);
  return { type, headers, body };
}

function message(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter();
  write(writer);
  return writer.finish();
}

function field(writer: WireWriter, id: number, bytes: Buffer): void {
  writer.tag(id, WIRE_BYTES);
  writer.bytes(bytes);
}

function textOf(bytes: Uint8Array | undefined, id: number): string {
  return partsOf(bytes, id).at(-1)?.toString("utf8") ?? "";
}

/** The fields of that number that have a length. */
function partsOf(bytes: Uint8Array | undefined, wanted: number): Buffer[] {
  const reader = new WireReader(bytes ?? Buffer.alloc(0));
  const parts: Buffer[] = [];
  while (!reader.isAtEnd) {
    const { id, wireType } = reader.tag();
    if (wireType !== WIRE_BYTES) reader.skip(wireType);
    else if (id === wanted) parts.push(reader.bytes());
    else reader.skip(wireType);
  }
  return parts;
}
