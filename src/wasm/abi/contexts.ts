//! Contexts and the flow of a stream: effective context, done, continue, close.

import { Status, StreamKind } from "../enums.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

export function contextFunctions(vm: Vm): HostFunctions {
  const continueStream = (kind: number): Status => {
    if (kind >>> 0 > StreamKind.upstream) return Status.badArgument;
    if (kind === StreamKind.upstream) return Status.unimplemented;
    if (vm.stream === null) return Status.badArgument;
    return vm.stream.continueStream(kind as StreamKind) ? Status.ok : Status.internalFailure;
  };
  return {
    proxy_set_effective_context(id: number): Status {
      return setEffectiveContext(vm, id >>> 0);
    },
    /** Only a root that answered false to on_done may call it. */
    proxy_done(): Status {
      const root = vm.root;
      if (root?.isAwaitingDone !== true) return Status.notFound;
      root.isAwaitingDone = false;
      vm.defer(() => {
        root.delete();
      });
      return Status.ok;
    },
    proxy_continue_stream: continueStream,
    proxy_continue_request: () => continueStream(StreamKind.request),
    proxy_continue_response: () => continueStream(StreamKind.response),
    proxy_close_stream(kind: number): Status {
      if (kind >>> 0 > StreamKind.upstream) return Status.badArgument;
      if (vm.stream === null) return Status.badArgument;
      return vm.stream.closeStream(kind as StreamKind) ? Status.ok : Status.internalFailure;
    },
    pthread_equal: (left: number, right: number) => (left === right ? 1 : 0),
    /** Views are checked at each use, so there is nothing to do. */
    emscripten_notify_memory_growth: () => undefined,
  };
}

/** Lasts until the callback returns. 0 means back to the entered context, as in Envoy. */
function setEffectiveContext(vm: Vm, id: number): Status {
  if (id === 0) {
    vm.switchTo(null);
    return Status.ok;
  }
  const stream = vm.streams.get(id);
  if (stream !== undefined) {
    vm.switchTo({ stream, root: stream.root });
    return Status.ok;
  }
  const root = vm.roots.get(id);
  if (root === undefined) return Status.badArgument;
  vm.switchTo({ stream: null, root });
  return Status.ok;
}
