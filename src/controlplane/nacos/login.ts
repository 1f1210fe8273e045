//! Logs in at a Nacos server: a token for a name and a password.
//!
//! <https://nacos.io/en/docs/v2/guide/user/auth/>

import { request } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { isRecord } from "../publish/inputs.ts";

export interface Login {
  readonly host: string;
  /** Of the HTTP API. */
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly clock: Clock;
}

export interface Token {
  readonly text: string;
  readonly lifeTimeMs: number;
}

const PATH = "/nacos/v1/auth/login";
const TIMEOUT_MS = 3_000;
const ANSWER_BYTES_MAX = 64 * 1024;
const LIFE_TIME_DEFAULT_SECONDS = 18_000;
const MS_PER_SECOND = 1_000;

/** Rejects with what is wrong in a few words. */
export async function logIn(login: Login): Promise<Token> {
  const { status, text } = await post(login);
  if (status === 401 || status === 403) {
    throw new Error(`the user ${login.username} is refused (${status})`);
  }
  const answer = status === 200 ? parsed(text) : null;
  const token = answer?.["accessToken"];
  if (typeof token !== "string") throw new Error(`logging in is answered ${status}, no token`);
  const seconds = Number(answer?.["tokenTtl"] ?? LIFE_TIME_DEFAULT_SECONDS);
  const lifeTime = seconds > 0 ? seconds : LIFE_TIME_DEFAULT_SECONDS;
  return { text: token, lifeTimeMs: lifeTime * MS_PER_SECOND };
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function post(login: Login): Promise<{ readonly status: number; readonly text: string }> {
  const { host, port, username, password, clock } = login;
  const body = new URLSearchParams({ username, password }).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path: PATH, method: "POST", headers }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > ANSWER_BYTES_MAX) call.destroy(new Error("the answer is too long"));
        else chunks.push(chunk);
      });
      response.on("end", () => {
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(chunks).toString("utf8"),
        });
      });
      response.on("error", reject);
    });
    const timer = clock.after(TIMEOUT_MS, () => {
      call.destroy(new Error("logging in is not answered in time"));
    });
    call.on("close", () => {
      timer.cancel();
    });
    call.on("error", (error: NodeJS.ErrnoException) => {
      reject(new Error(error.code ?? error.message));
    });
    call.end(body);
  });
}
