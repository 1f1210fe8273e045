//! Requests that are held back until their body is there, each with a copy of what has come.

import { proxy_get_buffer_bytes } from "../../../sdk/assemblyscript/assembly/abi";
import { BufferKind, LogLevel, Status } from "../../../sdk/assemblyscript/assembly/enums";
import { log } from "../../../sdk/assemblyscript/assembly/log";
import {
  outLength,
  outPointer,
  receivedLength,
  receivedPointer,
} from "../../../sdk/assemblyscript/assembly/received";
import { Program } from "./configuration";

/** Of all bodies that wait in this VM: what does not fit goes on as one that is too long. */
const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
const BYTES_MIN: usize = 4096;

let heldBytes: usize = 0;

export class Held {
  length: usize = 0;
  /** Not all of it was kept. */
  isCut: bool = false;
  private bytes: usize = 0;
  private capacity: usize = 0;

  constructor(readonly program: Program) {}

  get start(): usize {
    return this.bytes;
  }

  /** What has come now. */
  take(size: usize): void {
    if (size == 0) return;
    this.isCut = this.length + size > <usize>this.program.bodyBytesMax || !this.makeRoom(size);
    if (this.isCut) return;
    const status = proxy_get_buffer_bytes(
      BufferKind.requestBody,
      0,
      size,
      outPointer(),
      outLength(),
    );
    const isWhole = status == Status.ok && receivedLength() == size;
    if (isWhole) memory.copy(this.bytes + this.length, receivedPointer(), size);
    else this.isCut = true;
    this.length += size;
  }

  free(): void {
    if (this.bytes != 0) heap.free(this.bytes);
    heldBytes -= this.capacity;
    this.bytes = 0;
    this.capacity = 0;
  }

  private makeRoom(size: usize): bool {
    const needed = this.length + size;
    if (needed <= this.capacity) return true;
    const most = <usize>this.program.bodyBytesMax;
    const doubled = max<usize>(2 * this.capacity, BYTES_MIN);
    const capacity = max<usize>(needed, min<usize>(doubled, most));
    if (heldBytes - this.capacity + capacity > HELD_BYTES_MAX) {
      log(LogLevel.warn, "lane-filter: too many bodies wait: one goes on unread");
      return false;
    }
    const wider = heap.alloc(capacity);
    memory.copy(wider, this.bytes, this.length);
    if (this.bytes != 0) heap.free(this.bytes);
    heldBytes += capacity - this.capacity;
    this.bytes = wider;
    this.capacity = capacity;
    return true;
  }
}
