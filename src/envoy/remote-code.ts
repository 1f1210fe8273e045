//! `code.remote` of a Wasm plug-in: where its code is fetched from before anything is served.

import type { Cursor } from "../resources/cursor.ts";
import { readDuration } from "./common.ts";

export interface RemoteSource {
  readonly url: string;
  /** Whose endpoints are asked, whatever host the URL names. */
  readonly cluster: string;
  /** 64 hexadecimal digits in lower case. */
  readonly sha256: string;
  readonly timeoutMs: number;
  /** After the first attempt. */
  readonly retries: number;
  readonly pauseMsMin: number;
  readonly pauseMsMax: number;
}

/** Envoy's own, where the configuration says nothing. */
const RETRIES_DEFAULT = 1;
const PAUSE_MS_DEFAULT = 1_000;
const PAUSE_MS_MAX_DEFAULT = 10_000;
const RETRIES_MAX = 1_000;

/** Null with an error. */
export function readRemoteSource(cursor: Cursor): RemoteSource | null {
  if (!cursor.isMap(["http_uri", "sha256", "retry_policy"])) return null;
  const uri = cursor.at("http_uri");
  if (!uri.isMap(["uri", "cluster", "timeout"])) return null;
  const url = uri.at("uri").text(null);
  const isUrl = /^https?:\/\//i.test(url) && URL.canParse(url);
  if (!isUrl) uri.at("uri").wrong("a URL such as http://host/plugin.wasm");
  const cluster = uri.at("cluster").text(null);
  const timeout = uri.at("timeout");
  if (timeout.isAbsent) timeout.wrong('a duration such as "10s", as in Envoy');
  const sha256 = cursor.at("sha256").text(null).toLowerCase();
  const isDigest = /^[0-9a-f]{64}$/.test(sha256);
  if (!isDigest) cursor.at("sha256").wrong("the 64 hexadecimal digits of the code's SHA-256");
  if (!isUrl || !isDigest || timeout.isAbsent) return null;
  const timeoutMs = readDuration(timeout, 0);
  return { url, cluster, sha256, timeoutMs, ...readRetries(cursor.at("retry_policy")) };
}

function readRetries(cursor: Cursor): Pick<RemoteSource, "retries" | "pauseMsMin" | "pauseMsMax"> {
  const range = { least: 0, most: RETRIES_MAX };
  if (!cursor.isAbsent) cursor.isMap(["retry_back_off", "num_retries"]);
  const backOff = cursor.at("retry_back_off");
  if (!backOff.isAbsent) backOff.isMap(["base_interval", "max_interval"]);
  const pauseMsMin = readDuration(backOff.at("base_interval"), PAUSE_MS_DEFAULT);
  const most = backOff.isAbsent ? PAUSE_MS_MAX_DEFAULT : pauseMsMin * 10;
  const pauseMsMax = readDuration(backOff.at("max_interval"), most);
  if (pauseMsMax < pauseMsMin) backOff.at("max_interval").wrong("no less than base_interval");
  const retries = cursor.at("num_retries").count(range, RETRIES_DEFAULT);
  return { retries, pauseMsMin, pauseMsMax };
}
