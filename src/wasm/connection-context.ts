//! The context of one connection in a plug-in that filters bytes (a network filter): no headers,
//! and two buffers, of which each can be reached while the guest holds it back.

import type { BodyBuffer } from "./body-buffer.ts";
import { BufferKind, ConnectionAction } from "./enums.ts";
import type { CloseType, StreamKind } from "./enums.ts";
import type { RootContext } from "./root-context.ts";
import { StreamContext } from "./stream-context.ts";
import type { StreamHost } from "./stream-host.ts";
import type { Callback, Vm } from "./vm.ts";

export class ConnectionContext extends StreamContext {
  readonly #vm: Vm;
  #downstream: BodyBuffer | null = null;
  #upstream: BodyBuffer | null = null;

  /** Enters the guest (context_create). Use `RootContext.createConnection`. */
  constructor(vm: Vm, root: RootContext, host: StreamHost) {
    super(vm, root, host);
    this.#vm = vm;
  }

  onNewConnection(): ConnectionAction {
    return this.#run("proxy_on_new_connection", this.#vm.guest.newConnection, [0, 0]);
  }

  /** All bytes of the client that are held back, with the new ones. */
  onDownstreamData(data: BodyBuffer, endOfStream: boolean): ConnectionAction {
    this.#downstream = data;
    const parameters = [data.size, endOfStream ? 1 : 0] as const;
    const { downstreamData } = this.#vm.guest;
    const action = this.#run("proxy_on_downstream_data", downstreamData, parameters);
    if (action === ConnectionAction.continue) this.#downstream = null;
    return action;
  }

  /** The same for bytes that go to the client. */
  onUpstreamData(data: BodyBuffer, endOfStream: boolean): ConnectionAction {
    this.#upstream = data;
    const parameters = [data.size, endOfStream ? 1 : 0] as const;
    const { upstreamData } = this.#vm.guest;
    const action = this.#run("proxy_on_upstream_data", upstreamData, parameters);
    if (action === ConnectionAction.continue) this.#upstream = null;
    return action;
  }

  onDownstreamClose(type: CloseType): void {
    const { downstreamClose } = this.#vm.guest;
    this.#run("proxy_on_downstream_connection_close", downstreamClose, [type, 0]);
  }

  onUpstreamClose(type: CloseType): void {
    const { upstreamClose } = this.#vm.guest;
    this.#run("proxy_on_upstream_connection_close", upstreamClose, [type, 0]);
  }

  override body(kind: number): BodyBuffer | null {
    if (kind === BufferKind.downstreamData) return this.#downstream;
    return kind === BufferKind.upstreamData ? this.#upstream : null;
  }

  override continueStream(kind: StreamKind): boolean {
    return this.#vm.defer(() => {
      this.host.continueStream(kind);
    });
  }

  #run(
    name: string,
    callback: Callback<unknown>,
    [second, third]: readonly [second: number, third: number],
  ): ConnectionAction {
    const vm = this.#vm;
    if (vm.trap !== null) return ConnectionAction.trapped;
    if (callback === null) return ConnectionAction.continue;
    vm.enter(this.root, this);
    let result: unknown;
    try {
      result = callback(this.id, second, third);
    } catch (error) {
      vm.fail(name, error);
      return ConnectionAction.trapped;
    }
    vm.leave();
    return result === 0 ? ConnectionAction.continue : ConnectionAction.stop;
  }
}
