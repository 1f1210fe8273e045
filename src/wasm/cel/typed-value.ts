//! A stored property as what it was declared to be (`declare_property`).

import type { PropertyType } from "../declared-properties.ts";
import { latin1 } from "../field-text.ts";
import { Message, NO_FIELDS } from "./message.ts";
import {
  fieldsOf,
  integerIn,
  jsonValue,
  listValue,
  messageIn,
  structValue,
  wrappedValue,
} from "./protobuf-struct.ts";
import { CelFault, CelMap, Duration, encodeValue, Timestamp } from "./values.ts";
import type { CelValue } from "./values.ts";

const NS_PER_SECOND = 1_000_000_000n;
/** Of `google.protobuf.Duration` and `Timestamp`. */
const TIME = { seconds: 1, nanos: 2 };
const ANY = { typeUrl: 1, value: 2 };
/** Of an `Any` within an `Any`. */
const WRAPPINGS_MAX = 16;
/** A longer message has no parts: reading one takes some milliseconds as it is. */
const MESSAGE_BYTES_MAX = 16 * 1024;
const OF_PROTOBUF = "google.protobuf.";

/** Throws `CelFault`: these bytes are no such message. */
export function typedValue(value: Uint8Array, type: PropertyType): CelValue {
  if (type.kind === "message") return messageValue(value, type.typeUrl, 0);
  return type.kind === "text" ? latin1(value) : value;
}

/** As a guest gets what is found in the value by those keys; null: it has no such form. */
export function typedPart(
  value: Uint8Array,
  type: PropertyType,
  keys: readonly string[],
): Uint8Array | null {
  try {
    let found: CelValue | undefined = typedValue(value, type);
    for (const key of keys) {
      if (!(found instanceof CelMap)) return null;
      found = found.get(Buffer.from(key, "utf8").toString("latin1"));
    }
    return found === undefined ? null : encodeValue(found);
  } catch (error) {
    if (error instanceof CelFault) return null;
    throw error;
  }
}

/** Protocol Buffers' own types are values; of others only the bytes are known. */
function messageValue(message: Uint8Array, typeUrl: string, wrappings: number): CelValue {
  const slash = typeUrl.lastIndexOf("/");
  if (message.length > MESSAGE_BYTES_MAX) throw new CelFault("the message is too long");
  if (slash === -1 || wrappings > WRAPPINGS_MAX) throw new CelFault("not the name of a type");
  const name = typeUrl.slice(slash + 1);
  fieldsOf(message);
  const kind = name.startsWith(OF_PROTOBUF) ? name.slice(OF_PROTOBUF.length) : "";
  switch (kind) {
    case "Struct":
      return structValue(message);
    case "Value":
      return jsonValue(message);
    case "ListValue":
      return listValue(message);
    case "Duration":
      return new Duration(nanoseconds(message));
    case "Timestamp":
      return new Timestamp(nanoseconds(message));
    case "Any": {
      const inner = latin1(messageIn(message, ANY.typeUrl));
      return messageValue(messageIn(message, ANY.value), inner, wrappings + 1);
    }
    default:
      return wrappedValue(message, kind) ?? new Message(message, NO_FIELDS);
  }
}

function nanoseconds(message: Uint8Array): bigint {
  return integerIn(message, TIME.seconds) * NS_PER_SECOND + integerIn(message, TIME.nanos);
}
