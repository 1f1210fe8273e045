//! Shared data in the memory file: each key with its value and compare-and-set number, and for each
//! vm_id one record with the last number given and how much there is.

import { nextCas, SHARED_BYTES_MAX, SHARED_KEYS_MAX } from "../../wasm/shared-data-store.ts";
import type { SetOutcome, SharedDataStore, SharedValue } from "../../wasm/shared-data-store.ts";
import type { MemoryFile, MemoryTransaction } from "./memory-file.ts";
import { dataKey, dataPrefixes, spaceKey, SpaceIds } from "./record-keys.ts";

const CAS_BYTES = 4;

interface Space {
  readonly lastCas: number;
  readonly keys: number;
  readonly bytes: number;
}

export class MappedSharedData implements SharedDataStore {
  readonly #file: MemoryFile;
  readonly #spaces = new SpaceIds();

  constructor(file: MemoryFile) {
    this.#file = file;
  }

  get(vmId: string, key: string): SharedValue | null {
    const record = this.#file.get(dataKey(this.#spaces.of(vmId), key));
    if (record === undefined) return null;
    return { value: record.subarray(CAS_BYTES), cas: record.readUInt32LE(0) };
  }

  set(vmId: string, key: string, entry: SharedValue): SetOutcome {
    const id = this.#spaces.of(vmId);
    const name = dataKey(id, key);
    return this.#file.write(name.length + entry.value.length, (transaction) => {
      const before = transaction.get(name);
      if (before !== undefined && entry.cas !== 0 && entry.cas !== before.readUInt32LE(0)) {
        return "cas_mismatch";
      }
      const space = readSpace(transaction.get(spaceKey(id)));
      const added = entry.value.length - (before?.length ?? CAS_BYTES - key.length) + CAS_BYTES;
      const next = {
        lastCas: nextCas(space.lastCas),
        keys: space.keys + (before === undefined ? 1 : 0),
        bytes: space.bytes + added,
      };
      if (next.bytes > SHARED_BYTES_MAX || next.keys > SHARED_KEYS_MAX) return "full";
      const record = Buffer.allocUnsafe(CAS_BYTES + entry.value.length);
      record.writeUInt32LE(next.lastCas, 0);
      record.set(entry.value, CAS_BYTES);
      transaction.put(name, record);
      transaction.put(spaceKey(id), encodeSpace(next));
      return "ok";
    });
  }

  /** Nobody has this vm_id any more. */
  erase(vmId: string, transaction: MemoryTransaction): void {
    const id = this.#spaces.of(vmId);
    for (const prefix of dataPrefixes(id)) {
      for (const key of transaction.keysFrom(prefix)) transaction.remove(key);
    }
    transaction.remove(spaceKey(id));
  }
}

function readSpace(record: Buffer | undefined): Space {
  if (record === undefined) return { lastCas: 0, keys: 0, bytes: 0 };
  return {
    lastCas: record.readUInt32LE(0),
    keys: record.readUInt32LE(4),
    bytes: record.readUInt32LE(8),
  };
}

function encodeSpace({ lastCas, keys, bytes }: Space): Buffer {
  const record = Buffer.allocUnsafe(12);
  record.writeUInt32LE(lastCas, 0);
  record.writeUInt32LE(keys, 4);
  record.writeUInt32LE(bytes, 8);
  return record;
}
