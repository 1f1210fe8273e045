//! Metrics: define, increment, record, get. Ids carry the type in their low two bits, as in Envoy.

import { MetricType, Status } from "../enums.ts";
import { utf8 } from "../field-text.ts";
import type { Metric } from "../metric-store.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

/** Ids of one type that one VM may take; the same name defined again takes another id. */
const DEFINITIONS_MAX = 1_000;

export function metricFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  const { metrics } = vm.services;
  /** By type: each counts its own ids. */
  const defined: readonly Metric[][] = [[], [], []];
  const find = (id: number): Metric | undefined => {
    return defined[id & 3]?.[(id >>> 2) - 1];
  };
  return {
    proxy_define_metric(type: number, name: number, length: number, outId: number): Status {
      if (type >>> 0 > MetricType.histogram) return Status.badArgument;
      if (!memory.isInside(name, length)) return Status.invalidMemoryAccess;
      const ofType = defined[type] ?? [];
      if (ofType.length === DEFINITIONS_MAX) return Status.internalFailure;
      const start = name >>> 0;
      const text = utf8(memory.bytes.subarray(start, start + (length >>> 0)));
      const metric = metrics.define(type as MetricType, text);
      if (metric === null) return Status.internalFailure;
      ofType.push(metric);
      return memory.writeU32(outId, (ofType.length << 2) | type);
    },
    proxy_increment_metric(id: number, by: bigint): Status {
      if ((id & 3) > MetricType.gauge) return Status.badArgument;
      const metric = find(id);
      if (metric === undefined) return Status.notFound;
      if (metric.type === MetricType.counter && by <= 0n) return Status.badArgument;
      metric.value += Number(by);
      return Status.ok;
    },
    /** On a counter this adds, as in Envoy. */
    proxy_record_metric(id: number, value: bigint): Status {
      const metric = find(id);
      if (metric === undefined) return Status.notFound;
      metrics.record(metric, Number(value));
      return Status.ok;
    },
    proxy_get_metric(id: number, outValue: number): Status {
      if ((id & 3) > MetricType.gauge) return Status.badArgument;
      const metric = find(id);
      if (metric === undefined) return Status.notFound;
      return memory.writeU64(outValue, BigInt.asUintN(64, BigInt(metric.value)));
    },
  };
}
