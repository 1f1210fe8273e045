//! The service of every pod of the parity suite: says who it is and what it was sent, and calls on.
//!
//! `x-hops: b:8000/path,c:8000` names the calls to come, else `next_url` or `upstream_url` of the
//! environment does; `x-hops: -` ends the chain. `x-do` makes the first pod misbehave.

import { createServer, get } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { env } from "node:process";

const CALL_TIMEOUT_MS = 10_000;
const KEPT_MAX = 10_000;
const UNAVAILABLE = 503;

/** What one pod was sent, and what the next one said. */
interface Hop {
  readonly hop: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly next: { readonly status: number; readonly body: string } | null;
}

/** How often a request with this `x-id` has come, mirrored ones too. */
const countById = new Map<string, number>();
let isWell = true;

const WORDS: Readonly<
  Record<string, (value: string, response: ServerResponse, request: IncomingMessage) => void>
> = {
  status: (value, response) => {
    response.statusCode = Number(value);
  },
  /** `503x2`: the first two requests of this id are answered so. */
  fail: (value, response, request) => {
    const [status = "", times = "1"] = value.split("x");
    if (countOf(request) <= Number(times)) response.statusCode = Number(status);
  },
  header: (value, response) => {
    const at = value.indexOf(":");
    response.appendHeader(value.slice(0, at), value.slice(at + 1));
  },
  reset: (_value, response) => {
    response.destroy();
  },
  well: (value) => {
    isWell = value === "yes";
  },
};

createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    response.writeHead(500);
    response.end(String(error));
  });
}).listen(Number(env["PORT"] ?? 8_000), env["HOST"] ?? "127.0.0.1");

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/healthz") {
    response.writeHead(isWell ? 200 : UNAVAILABLE);
    response.end();
    return;
  }
  const body = await textOf(request);
  const counted = request.headers["x-count"];
  if (counted !== undefined) {
    response.end(String(countById.get(String(counted)) ?? 0));
    return;
  }
  note(request);
  await misbehave(request, response);
  if (response.destroyed) return;
  const { method = "", url: path = "", headers } = request;
  const next = await callOn(headers);
  const hop: Hop = { hop: deploymentName(), method, path, headers, body, next };
  response.setHeader("content-type", "application/json");
  response.setHeader("x-attempts", countOf(request));
  response.end(JSON.stringify(hop));
}

async function misbehave(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const word of String(request.headers["x-do"] ?? "").split(";")) {
    const at = word.indexOf("=");
    const [name, value] = at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
    if (name === "delay") await new Promise((done) => setTimeout(done, Number(value)));
    else WORDS[name]?.(value, response, request);
  }
}

function note(request: IncomingMessage): void {
  const id = String(request.headers["x-id"] ?? "");
  if (id === "") return;
  countById.set(id, countOf(request) + 1);
  if (countById.size > KEPT_MAX) countById.clear();
}

function countOf({ headers }: IncomingMessage): number {
  return countById.get(String(headers["x-id"] ?? "")) ?? 0;
}

async function callOn(headers: IncomingHttpHeaders): Promise<Hop["next"]> {
  const named = headers["x-hops"];
  const [first = "", ...rest] = String(named ?? "-").split(",");
  const url = named === undefined ? ownNextUrl() : urlOf(first);
  if (url === "") return null;
  const hops = named === undefined ? {} : { "x-hops": rest.length === 0 ? "-" : rest.join(",") };
  // As apps do, whose lane goes by this header (the agent carries what the sidecar names).
  return call(url, hops);
}

/** As the images of the examples are told whom to call. */
function ownNextUrl(): string {
  const { next_url: ofMse = "", upstream_url: ofAsm = "" } = env;
  return ofMse === "" ? ofAsm : ofMse;
}

function urlOf(hop: string): string {
  if (hop === "-") return "";
  return hop.includes("/") ? `http://${hop}` : `http://${hop}/`;
}

function call(url: string, headers: Readonly<Record<string, string>>): Promise<Hop["next"]> {
  return new Promise((done) => {
    const request = get(url, { headers, timeout: CALL_TIMEOUT_MS }, (response) => {
      textOf(response).then(
        (body) => {
          done({ status: response.statusCode ?? 0, body });
        },
        (error: unknown) => {
          done({ status: 0, body: String(error) });
        },
      );
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", (error) => {
      done({ status: 0, body: error.message });
    });
  });
}

/** A pod is called after its Deployment, with two more parts. */
function deploymentName(): string {
  return (env["POD_NAME"] ?? "").split("-").slice(0, -2).join("-");
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
