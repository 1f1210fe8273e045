//! The Proxy-Wasm host on its own: `import { loadModule, Plugin } from "graylane/wasm"`.
//!
//! Load a module once, start a `Plugin` of it with a configuration, and give each exchange a
//! `StreamContext` by `createStream`, with a `StreamHost` that shows it the exchange.

export { ConnectionContext } from "./connection-context.ts";
export { BodyBuffer } from "./body-buffer.ts";
export {
  BufferKind,
  CloseType,
  ConnectionAction,
  LogLevel,
  MapKind,
  MetricType,
  Status,
  StreamAction,
} from "./enums.ts";
export { StreamKind } from "./enums.ts";
export type { AbiVersion, StreamMapKind } from "./enums.ts";
export { LoadFault, PluginTrap } from "./fault.ts";
export type { LoadFaultKind } from "./fault.ts";
export { MetricStore } from "./metric-store.ts";
export type { Metric } from "./metric-store.ts";
export { DEFAULT_BUDGETS } from "./fuel/gauge.ts";
export type { Budgets, GuestTime } from "./fuel/gauge.ts";
export type {
  GrpcCaller,
  GrpcConnection,
  GrpcRefusal,
  GrpcRequest,
  GrpcSink,
} from "./grpc-calls.ts";
export type { HttpCall, HttpCaller, HttpCallResponse, PendingCall } from "./http-calls.ts";
export { loadModule, PluginModule } from "./module.ts";
export type { LoadOptions } from "./module.ts";
export { Plugin } from "./plugin.ts";
export { PluginUsage, UsageTable } from "./plugin-usage.ts";
export {
  encodeBoolean,
  encodeInteger,
  encodeLatin1,
  encodeList,
  encodeMap,
  encodeTime,
  encodeUtf8,
} from "./property-encoding.ts";
export type { PluginSettings } from "./root-context.ts";
export { InProcessSharedData } from "./shared-data-store.ts";
export type { SetOutcome, SharedDataStore, SharedValue } from "./shared-data-store.ts";
export { InProcessSharedQueues } from "./shared-queues.ts";
export type { EnqueueOutcome, QueueOwner, SharedQueueStore } from "./shared-queues.ts";
export { StreamContext } from "./stream-context.ts";
export type { HeaderMap, LocalResponse, StreamHost } from "./stream-host.ts";
export { TickThrottle } from "./tick-throttle.ts";
export type { PluginLog, PluginServices, VmSettings } from "./vm.ts";
export { VmPool } from "./vm-pool.ts";
