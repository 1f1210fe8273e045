//! What the server needs from the rest of the program.

import type {
  AnalyzeRequest,
  ExplainRequest,
  ExplainResult,
  PluginLogLine,
  PluginLogQuery,
  PodLogOptions,
  RecentQuery,
  RecentResult,
  RuntimeStatus,
} from "../api/types.ts";
import type { Clock } from "../base/clock.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import type { Fault } from "../resources/fault.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { AccountTokens } from "./access/account-tokens.ts";
import type { CertificateSource } from "./access/client-certificates.ts";
import type { TokenSource } from "./access/token-file.ts";
import type { AuditLog } from "./audit.ts";
import type { KubernetesMessages } from "./protobuf/kubernetes-messages.ts";

export interface ServerDependencies {
  readonly store: ResourceStore;
  readonly clock: Clock;
  explain(request: ExplainRequest): Promise<ExplainResult>;
  recent(query: RecentQuery): Promise<RecentResult>;
  analyze(request: AnalyzeRequest): Promise<readonly Fault[]>;
  /** Lines without their ends; ends when `signal` aborts. `null`: there is no such log. */
  podLog(
    namespace: string,
    name: string,
    options: PodLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<string> | null;
  /** As `podLog`, of a plug-in in all workers. A text: there is none of that name, and why. */
  pluginLog(query: PluginLogQuery, signal: AbortSignal): AsyncIterable<PluginLogLine> | string;
  runtimeStatus(): RuntimeStatus;
  /** Envoy's `ConfigDump` of an Envoy, or of `embedded`; null: there is none of that name. */
  configDump(node: string, options: { readonly withEndpoints: boolean }): object | null;
  /** Called after the answer has been sent. */
  shutdown(): void;
  readonly token: string;
  /** How bodies in Kubernetes' protobuf are read. */
  readonly messages: KubernetesMessages;
  /** Users beside the one of `token`; absent: there are none. */
  readonly tokens?: TokenSource;
  /** Further users by client certificates; absent: no client is asked for one. */
  readonly certificates?: CertificateSource;
  /** Absent: service accounts have no tokens. */
  readonly accounts?: AccountTokens;
  /** Absent: nobody writes down who asked for what. */
  readonly audit?: AuditLog;
  readonly logger: Pick<Logger, "info" | "error">;
}
