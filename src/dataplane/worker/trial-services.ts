//! What a plug-in is given that is started for trial: nothing of it reaches anybody. Its calls are
//! taken and never answered, as they might be late; what it shares it shares with itself.

import type { Clock } from "../../base/clock.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import { LogLevel } from "../../wasm/enums.ts";
import { MetricStore } from "../../wasm/metric-store.ts";
import { InProcessSharedData } from "../../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../../wasm/shared-queues.ts";
import type { PluginServices } from "../../wasm/vm.ts";
import { rootProperty } from "../filter/node-properties.ts";

export function trialServices(clock: Clock, node?: ProxyNode): PluginServices {
  const nothing = (): void => undefined;
  return {
    clock,
    log: nothing,
    logLevel: () => LogLevel.critical,
    metrics: new MetricStore(),
    sharedData: new InProcessSharedData(),
    sharedQueues: new InProcessSharedQueues(nothing),
    httpCall: () => ({ cancel: nothing }),
    grpcCall: () => ({ send: () => true, end: nothing, cancel: nothing }),
    redis: () => ({ call: () => true, retire: nothing, close: nothing }),
    dns: nothing,
    rootProperty: rootProperty(node),
  };
}
