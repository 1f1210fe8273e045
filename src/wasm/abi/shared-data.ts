//! Shared data of one vm_id: proxy_get_shared_data, proxy_set_shared_data.

import { Status } from "../enums.ts";
import { latin1 } from "../field-text.ts";
import type { SetOutcome } from "../shared-data-store.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const KEY_BYTES_MAX = 4096;

const STATUS_OF: Readonly<Record<SetOutcome, Status>> = {
  ok: Status.ok,
  cas_mismatch: Status.casMismatch,
  full: Status.internalFailure,
};

export function sharedDataFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const { sharedData } = vm.services;
  const { vmId } = vm.settings;
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_get_shared_data(
      key: number,
      keyLength: number,
      outValue: number,
      outLength: number,
      outCas: number,
    ): Status {
      const name = memory.copy(key, keyLength);
      if (name === null) return Status.invalidMemoryAccess;
      const entry = sharedData.get(vmId, latin1(name));
      if (entry === null) return Status.notFound;
      const status = memory.giveBytes(entry.value, outValue, outLength);
      return status === Status.ok ? memory.writeU32(outCas, entry.cas) : status;
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_set_shared_data(
      key: number,
      keyLength: number,
      value: number,
      valueLength: number,
      cas: number,
    ): Status {
      if (keyLength >>> 0 > KEY_BYTES_MAX) return Status.badArgument;
      const name = memory.copy(key, keyLength);
      const bytes = memory.copy(value, valueLength);
      if (name === null || bytes === null) return Status.invalidMemoryAccess;
      return STATUS_OF[sharedData.set(vmId, latin1(name), { value: bytes, cas: cas >>> 0 })];
    },
  };
}
