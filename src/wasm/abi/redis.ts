//! Redis calls out of a plug-in, through the embedder (Higress' 0.2.100).

import { Status } from "../enums.ts";
import { latin1, utf8 } from "../field-text.ts";
import { nameAlone } from "../redis-calls.ts";
import type { RedisRefusal, RedisServer } from "../redis-calls.ts";
import { isOneCommand } from "../redis-command.ts";
import type { Vm } from "../vm.ts";
import type { HostFunctions } from "./imports.ts";

const CLUSTER_BYTES_MAX = 1024;
const CREDENTIAL_BYTES_MAX = 4096;
const COMMAND_BYTES_MAX = 1024 * 1024;
/** A longer timeout is no longer than this: what a timer of the clock can hold. */
const TIMEOUT_MS_MAX = 0x7fff_ffff;

export function redisFunctions(vm: Vm): HostFunctions {
  const { memory } = vm;
  return {
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_redis_init(
      cluster: number,
      clusterLength: number,
      username: number,
      usernameLength: number,
      password: number,
      passwordLength: number,
      timeoutMs: number,
    ): Status {
      const name = memory.copy(cluster, clusterLength);
      const user = memory.copy(username, usernameLength);
      const secret = memory.copy(password, passwordLength);
      if (name === null || user === null || secret === null) return Status.invalidMemoryAccess;
      const isTooLong = user.length > CREDENTIAL_BYTES_MAX || secret.length > CREDENTIAL_BYTES_MAX;
      if (name.length > CLUSTER_BYTES_MAX || isTooLong) return Status.badArgument;
      const { root } = vm;
      const { redis } = vm.services;
      const full = latin1(name);
      const database = databaseOf(full);
      if (root === null || redis === undefined || database === null) return Status.badArgument;
      const server: RedisServer = {
        cluster: nameAlone(full),
        username: utf8(user),
        password: utf8(secret),
        database,
        timeoutMs: Math.min(timeoutMs >>> 0, TIMEOUT_MS_MAX),
      };
      const refusal = root.redis.init(full, server, redis);
      return refusal === null ? Status.ok : statusOf(refusal);
    },
    // eslint-disable-next-line max-params -- the ABI's own parameter list
    proxy_redis_call(
      cluster: number,
      clusterLength: number,
      command: number,
      commandLength: number,
      outToken: number,
    ): Status {
      const name = memory.copy(cluster, clusterLength);
      if (name === null || !memory.isInside(command, commandLength)) {
        return Status.invalidMemoryAccess;
      }
      if (!memory.isInside(outToken, 4)) return Status.invalidMemoryAccess;
      const { root } = vm;
      const isTooLong = name.length > CLUSTER_BYTES_MAX || commandLength >>> 0 > COMMAND_BYTES_MAX;
      const bytes = isTooLong ? null : memory.copy(command, commandLength);
      if (root === null || bytes === null || !isOneCommand(bytes)) return Status.badArgument;
      const token = root.redis.call(root, latin1(name), bytes);
      return typeof token === "string" ? statusOf(token) : memory.writeU32(outToken, token);
    },
  };
}

function statusOf(refusal: RedisRefusal): Status {
  return refusal === "full" ? Status.internalFailure : Status.badArgument;
}

/**
 * `?db=N`; 0 without. Null: no number. The other two parameters say how long commands may be held
 * back to be sent together: here none is.
 */
function databaseOf(name: string): number | null {
  const parameters = new URLSearchParams(name.slice(nameAlone(name).length));
  const database = parameters.get("db") ?? "0";
  return /^\d{1,6}$/.test(database) ? Number(database) : null;
}
