//! Shared queues of one vm_id: register, resolve, enqueue, dequeue.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import type { EnqueueOutcome, SharedQueueStore } from "../shared-queues.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const NAME_BYTES_MAX = 1024;

const STATUS_OF: Readonly<Record<EnqueueOutcome, Status>> = {
  ok: Status.ok,
  unknown: Status.notFound,
  full: Status.internalFailure,
};

export function sharedQueueFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const ownVmId = vm.settings.vmId;
  const queues = (): SharedQueueStore | null => vm.services.sharedQueues ?? null;
  return {
    proxy_register_shared_queue(name: number, length: number, outToken: number): Status {
      const bytes = memory.copy(name, length);
      if (bytes === null) return Status.invalidMemoryAccess;
      const root = vm.root;
      if (root === null || bytes.length > NAME_BYTES_MAX) return Status.internalFailure;
      const token = queues()?.register(ownVmId, latin1(bytes), root) ?? null;
      return token === null ? Status.internalFailure : memory.writeU32(outToken, token);
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_resolve_shared_queue(
      vmId: number,
      vmIdLength: number,
      name: number,
      length: number,
      outToken: number,
    ): Status {
      const owner = memory.copy(vmId, vmIdLength);
      const bytes = memory.copy(name, length);
      if (owner === null || bytes === null) return Status.invalidMemoryAccess;
      const wanted = owner.length === 0 ? ownVmId : latin1(owner);
      const token = queues()?.resolve(wanted, latin1(bytes)) ?? null;
      return token === null ? Status.notFound : memory.writeU32(outToken, token);
    },
    proxy_enqueue_shared_queue(token: number, value: number, length: number): Status {
      const bytes = memory.copy(value, length);
      if (bytes === null) return Status.invalidMemoryAccess;
      return STATUS_OF[queues()?.enqueue(token >>> 0, bytes) ?? "unknown"];
    },
    proxy_dequeue_shared_queue(token: number, outValue: number, outLength: number): Status {
      if (!memory.isInside(outValue, 4) || !memory.isInside(outLength, 4)) {
        return Status.invalidMemoryAccess;
      }
      const item = queues()?.dequeue(token >>> 0) ?? "unknown";
      if (item === "unknown") return Status.notFound;
      return item === "empty" ? Status.empty : memory.giveBytes(item, outValue, outLength);
    },
  };
}
