//! Names of the records in the memory file: one letter for the kind, then fixed-length parts, so
//! that no text of a plug-in can name another's record.

import { createHash } from "node:crypto";

const ID_BYTES = 16;
/** LMDB's keys have at most 1,978 bytes; a longer one stands as its hash. */
const PLAIN_KEY_BYTES_MAX = 1024;

const Kind = {
  data: "d",
  hashedData: "h",
  space: "s",
  queueName: "n",
  queue: "q",
  item: "i",
  queueTotals: "t",
} as const;

/** Stands for a vm_id in keys. Kept: there are few. */
export class SpaceIds {
  readonly #ids = new Map<string, Buffer>();

  of(vmId: string): Buffer {
    const known = this.#ids.get(vmId);
    if (known !== undefined) return known;
    const id = digest(vmId);
    this.#ids.set(vmId, id);
    return id;
  }
}

export function dataKey(space: Buffer, key: string): Buffer {
  return key.length > PLAIN_KEY_BYTES_MAX
    ? Buffer.concat([tag(Kind.hashedData), space, createHash("sha256").update(key).digest()])
    : Buffer.concat([tag(Kind.data), space, Buffer.from(key, "latin1")]);
}

export function spaceKey(space: Buffer): Buffer {
  return Buffer.concat([tag(Kind.space), space]);
}

/** What the keys of all data of a space begin with. */
export function dataPrefixes(space: Buffer): readonly Buffer[] {
  return [Kind.data, Kind.hashedData].map((kind) => Buffer.concat([tag(kind), space]));
}

export function queueNameKey(space: Buffer, name: string): Buffer {
  return Buffer.concat([queueNamePrefix(space), digest(name)]);
}

export function queueNamePrefix(space: Buffer): Buffer {
  return Buffer.concat([tag(Kind.queueName), space]);
}

export function queueKey(token: number): Buffer {
  return numbered(Kind.queue, token);
}

export function itemPrefix(token: number): Buffer {
  return numbered(Kind.item, token);
}

export function itemKey(token: number, sequence: number): Buffer {
  const key = Buffer.allocUnsafe(11);
  key.write(Kind.item, 0, "latin1");
  key.writeUInt32BE(token, 1);
  key.writeUIntBE(sequence, 5, 6);
  return key;
}

export const QUEUE_TOTALS_KEY: Buffer = tag(Kind.queueTotals);

function numbered(kind: string, token: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key.write(kind, 0, "latin1");
  key.writeUInt32BE(token, 1);
  return key;
}

function tag(kind: string): Buffer {
  return Buffer.from(kind, "latin1");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text, "latin1").digest().subarray(0, ID_BYTES);
}
