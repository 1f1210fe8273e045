//! Asks a URL for the list of endpoints, and whether it has changed.

import http from "node:http";
import https from "node:https";
import { systemClock } from "../../base/clock.ts";
import type { Reading } from "./endpoint-watch.ts";

const TIMEOUT_MS = 5_000;
const LIST_BYTES_MAX = 64 * 1024 * 1024;
const OK = 200;
const NOT_MODIFIED = 304;

/** As Node has made them: these calls are the agent's own. */
const getPlain = http.get.bind(http);
const getSecure = https.get.bind(https);

/**
 * `before`: the mark of the list that is in force, its ETag; `""`: none is. An app that has ended
 * its work does not wait for the answer, unless it `isAwaited`.
 */
export function fetchList(
  url: string,
  { before, isAwaited }: { readonly before: string; readonly isAwaited: boolean },
): Promise<Reading> {
  const headers = before === "" ? {} : { "if-none-match": before };
  return new Promise((resolve, reject) => {
    const get = /^https:/i.test(url) ? getSecure : getPlain;
    const request = get(url, { headers, agent: false, timeout: TIMEOUT_MS }, (response) => {
      const { statusCode, headers: told } = response;
      const renewedAtMs = systemClock.nowMs();
      if (statusCode === NOT_MODIFIED) {
        response.resume();
        resolve({ mark: before, text: null, renewedAtMs });
        return;
      }
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        chunks.push(chunk);
        if (length > LIST_BYTES_MAX) {
          request.destroy(new Error(`it is longer than ${LIST_BYTES_MAX} bytes`));
        }
      });
      response.on("error", reject);
      response.on("end", () => {
        if (statusCode !== OK) reject(new Error(`it answers ${statusCode ?? 0}`));
        else {
          const text = Buffer.concat(chunks).toString("utf8");
          resolve({ mark: told.etag ?? "", text, renewedAtMs });
        }
      });
    });
    request.on("timeout", () => {
      request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`));
    });
    request.on("error", reject);
    request.on("socket", (socket) => {
      if (!isAwaited) socket.unref();
    });
  });
}
