//! gRPC calls and streams out of a plug-in, through the embedder.

import { Status } from "../enums.ts";
import { latin1, utf8 } from "../field-text.ts";
import { GrpcKind } from "../grpc-calls.ts";
import type { GrpcRequest, GrpcStart } from "../grpc-calls.ts";
import { fieldName, fieldValue } from "../field-text.ts";
import { decodePairs } from "../header-pairs.ts";
import type { HeaderPair } from "../header-pairs.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";
import { decodeBytesFields, listBytesFields } from "./protobuf.ts";

/** Of a cluster's name, or of a serialized `GrpcService`. */
const SERVICE_BYTES_MAX = 64 * 1024;
/** Of a service's or a method's name. */
const NAME_BYTES_MAX = 1024;
/** Of one message, as most servers take no larger one. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** A longer timeout is no longer than this: what a timer of the clock can hold. */
const TIMEOUT_MS_MAX = 0x7fff_ffff;

/** `envoy.config.core.v3.GrpcService`, its `EnvoyGrpc` and its `HeaderValue`, by field number. */
const ENVOY_GRPC = 1;
const GOOGLE_GRPC = 2;
const INITIAL_METADATA = 5;
const CLUSTER_NAME = 1;
const AUTHORITY = 2;
const HEADER_KEY = 1;
const HEADER_VALUE = 2;

type Place = readonly [pointer: number, length: number];

export function grpcFunctions(vm: Vm): HostFunctions {
  return { ...openFunctions(vm), ...runningFunctions(vm) };
}

function openFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_grpc_call(
      target: number,
      targetLength: number,
      service: number,
      serviceLength: number,
      method: number,
      methodLength: number,
      pairs: number,
      pairsLength: number,
      message: number,
      messageLength: number,
      timeoutMs: number,
      outToken: number,
    ): Status {
      const parts = copies(vm, [
        [target, targetLength],
        [service, serviceLength],
        [method, methodLength],
        [pairs, pairsLength],
        [message, messageLength],
      ]);
      if (parts === null || !memory.isInside(outToken, 4)) return Status.invalidMemoryAccess;
      const body = parts[4] as Uint8Array;
      if (body.length > MESSAGE_BYTES_MAX) return Status.badArgument;
      const started = open(vm, GrpcKind.call, parts, timeoutMs >>> 0);
      if (typeof started === "number") return started;
      const call = vm.grpc.find(started.token, vm.root);
      call?.connection.send(body);
      call?.connection.end();
      return memory.writeU32(outToken, started.token);
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_grpc_stream(
      target: number,
      targetLength: number,
      service: number,
      serviceLength: number,
      method: number,
      methodLength: number,
      pairs: number,
      pairsLength: number,
      outToken: number,
    ): Status {
      const parts = copies(vm, [
        [target, targetLength],
        [service, serviceLength],
        [method, methodLength],
        [pairs, pairsLength],
      ]);
      if (parts === null || !memory.isInside(outToken, 4)) return Status.invalidMemoryAccess;
      const started = open(vm, GrpcKind.stream, parts, 0);
      if (typeof started === "number") return started;
      return memory.writeU32(outToken, started.token);
    },
  };
}

function runningFunctions(vm: Vm): HostFunctions {
  const { memory, grpc } = vm;
  const isKnownKind = (token: number): boolean =>
    (token & 3) === GrpcKind.call || (token & 3) === GrpcKind.stream;
  return {
    proxy_grpc_send(token: number, message: number, length: number, isLast: number): Status {
      if (!memory.isInside(message, length)) return Status.invalidMemoryAccess;
      if ((token & 3) !== GrpcKind.stream) return Status.badArgument;
      const call = grpc.find(token >>> 0, vm.root);
      // Nobody reads what is sent to a stream that the server has ended.
      if (call === null) return grpc.isEnded(token >>> 0, vm.root) ? Status.ok : Status.notFound;
      if (length >>> 0 > MESSAGE_BYTES_MAX) return Status.badArgument;
      const from = message >>> 0;
      const isTaken = call.connection.send(memory.bytes.subarray(from, from + (length >>> 0)));
      if (!isTaken) return Status.internalFailure;
      if (isLast !== 0) call.connection.end();
      return Status.ok;
    },
    proxy_grpc_close(token: number): Status {
      if (!isKnownKind(token)) return Status.badArgument;
      const call = grpc.find(token >>> 0, vm.root);
      if (call === null) return forgetEnded(vm, token >>> 0);
      if ((token & 3) === GrpcKind.call) {
        grpc.cancel(token >>> 0);
        return Status.ok;
      }
      call.isClosedHere = true;
      call.connection.end();
      return Status.ok;
    },
    proxy_grpc_cancel(token: number): Status {
      if (!isKnownKind(token)) return Status.badArgument;
      if (grpc.find(token >>> 0, vm.root) === null) return forgetEnded(vm, token >>> 0);
      grpc.cancel(token >>> 0);
      return Status.ok;
    },
    /**
     * Of the last gRPC call that was closed; its text only while it is being told. An HTTP call
     * leaves it as it is, as in Envoy.
     */
    proxy_get_status(outCode: number, outText: number, outLength: number): Status {
      const { code, text } = vm.root?.grpcStatus ?? { code: 0, text: "" };
      const status = memory.writeU32(outCode, code);
      return status === Status.ok ? memory.giveLatin1(text, outText, outLength) : status;
    },
  };
}

/** Copies of all places; null: one is not inside the guest's memory. */
function copies(vm: Vm, places: readonly Place[]): Uint8Array[] | null {
  const parts: Uint8Array[] = [];
  for (const [pointer, length] of places) {
    const part = vm.memory.copy(pointer, length);
    if (part === null) return null;
    parts.push(part);
  }
  return parts;
}

/** `parts`: target, service, method, metadata. */
function open(
  vm: Vm,
  kind: GrpcKind,
  parts: readonly Uint8Array[],
  timeoutMs: number,
): (GrpcStart & { readonly kind: "open" }) | Status {
  const [targetBytes, service, method, pairs] = parts as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const { root } = vm;
  const { grpcCall, clock } = vm.services;
  const tooLong = service.length > NAME_BYTES_MAX || method.length > NAME_BYTES_MAX;
  if (root === null || tooLong || targetBytes.length > SERVICE_BYTES_MAX) return Status.badArgument;
  const target = readTarget(targetBytes);
  const own = decodePairs(pairs);
  if (target === null || own === null) return Status.badArgument;
  const request: GrpcRequest = {
    cluster: target.cluster,
    authority: target.authority,
    service: latin1(service),
    method: latin1(method),
    metadata: [...own, ...target.metadata],
    timeoutMs: Math.min(timeoutMs, TIMEOUT_MS_MAX),
  };
  const started: GrpcStart =
    grpcCall === undefined ? { kind: "no_cluster" } : vm.grpc.start(kind, root, grpcCall, request);
  switch (started.kind) {
    case "open":
      return started;
    case "bad_request":
      return Status.badArgument;
    case "full":
      return Status.internalFailure;
    case "no_cluster":
      if (!target.isMessage) return Status.parseFailure;
      vm.grpc.refuseLater(kind, root, (task) => clock.after(0, task));
      return Status.internalFailure;
  }
}

function forgetEnded(vm: Vm, token: number): Status {
  if (!vm.grpc.isEnded(token, vm.root)) return Status.notFound;
  vm.grpc.forget(token);
  return Status.ok;
}

interface Target {
  readonly cluster: string;
  readonly authority: string | null;
  readonly metadata: readonly HeaderPair[];
  /** It was a `GrpcService`, not a plain name. */
  readonly isMessage: boolean;
}

/**
 * A `GrpcService` with `envoy_grpc`, else the name of a cluster; a name that happens to be a
 * message of nothing known is a name. Null: it needs Google's client, or has bad metadata.
 */
function readTarget(bytes: Uint8Array): Target | null {
  const fields = listBytesFields(bytes);
  const byNumber = new Map(fields ?? []);
  const envoyGrpc = byNumber.get(ENVOY_GRPC);
  const inner = envoyGrpc === undefined ? null : decodeBytesFields(envoyGrpc);
  if (fields === null || inner === null) {
    if (fields !== null && byNumber.has(GOOGLE_GRPC)) return null;
    return { cluster: utf8(bytes), authority: null, metadata: [], isMessage: false };
  }
  const metadata: HeaderPair[] = [];
  for (const [number, value] of fields) {
    if (number !== INITIAL_METADATA) continue;
    const pair = readHeaderValue(value);
    if (pair === null) return null;
    metadata.push(pair);
  }
  const authority = utf8(inner.get(AUTHORITY) ?? new Uint8Array(0));
  return {
    cluster: utf8(inner.get(CLUSTER_NAME) ?? new Uint8Array(0)),
    authority: authority === "" ? null : authority,
    metadata,
    isMessage: true,
  };
}

function readHeaderValue(bytes: Uint8Array): HeaderPair | null {
  const fields = decodeBytesFields(bytes);
  const name = fieldName(fields?.get(HEADER_KEY) ?? new Uint8Array(0));
  const value = fieldValue(fields?.get(HEADER_VALUE) ?? new Uint8Array(0));
  return name === null || value === null ? null : [name, value];
}
