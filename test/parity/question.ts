//! What the parity suite asks, and how it is sent.

import { request as httpRequest } from "node:http";
import type { Agent, ClientRequest, IncomingHttpHeaders } from "node:http";
import { connect } from "node:http2";
import { setImmediate as turn } from "node:timers/promises";

export interface Question {
  readonly path?: string;
  readonly method?: string;
  readonly host?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** In parts: without a content-length, each a chunk (or frame) of its own. */
  readonly body?: string | readonly string[];
  /** Behind a body in parts. */
  readonly trailers?: Readonly<Record<string, string>>;
  /** The body waits for 100 Continue. */
  readonly expects?: true;
  /** Over HTTP/2, in clear. */
  readonly isHttp2?: true;
}

export interface Answer {
  /** 0: the connection broke, and the body says how. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const REQUEST_MS_MAX = 15_000;
const HOST = "shop.example.com";

export function sendHttp1(port: number, agent: Agent, question: Question): Promise<Answer> {
  const { path = "/", method = "GET", host = HOST, headers = [] } = question;
  const options = { host: "127.0.0.1", port, path, method, agent };
  return new Promise((done) => {
    const fail = (error: Error): void => {
      done({ status: 0, headers: {}, body: error.message });
    };
    const request = httpRequest({ ...options, timeout: REQUEST_MS_MAX }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("error", fail);
      response.on("end", () => {
        const { statusCode: status = 0, headers: fields } = response;
        done({ status, headers: fields, body: text });
      });
    });
    request.setHeader("host", host);
    for (const [name, value] of headers) request.appendHeader(name, value);
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", fail);
    if (question.expects === true) {
      request.setHeader("expect", "100-continue");
      request.on("continue", () => request.end(question.body));
      request.flushHeaders();
    } else void sendBody(request, question);
  });
}

async function sendBody(request: ClientRequest, { body, trailers }: Question): Promise<void> {
  if (body === undefined || typeof body === "string") {
    request.end(body);
    return;
  }
  if (trailers !== undefined) request.setHeader("trailer", Object.keys(trailers).join(", "));
  for (const part of body) {
    request.write(part);
    await turn();
  }
  if (trailers !== undefined) request.addTrailers(trailers);
  request.end();
}

export function sendHttp2(port: number, question: Question): Promise<Answer> {
  const { path = "/", method = "GET", host = HOST, headers = [], body, trailers } = question;
  return new Promise((done) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const finish = (answer: Answer): void => {
      session.destroy();
      done(answer);
    };
    const fail = (error: Error): void => {
      finish({ status: 0, headers: {}, body: error.message });
    };
    session.on("error", fail);
    const fields: Record<string, string> = {
      ...{ ":path": path, ":method": method, ":authority": host },
      ...Object.fromEntries(headers),
    };
    const stream = session.request(fields, {
      endStream: body === undefined,
      waitForTrailers: trailers !== undefined,
    });
    stream.setTimeout(REQUEST_MS_MAX, () => {
      fail(new Error("no answer"));
    });
    stream.on("error", fail);
    stream.on("wantTrailers", () => {
      stream.sendTrailers({ ...trailers });
    });
    let status = 0;
    let text = "";
    let answered: IncomingHttpHeaders = {};
    stream.on("response", (received) => {
      status = received[":status"] ?? 0;
      const plain = Object.entries(received).filter(([name]) => !name.startsWith(":"));
      answered = Object.fromEntries(plain);
    });
    stream.setEncoding("utf8");
    stream.on("data", (part: string) => (text += part));
    stream.on("end", () => {
      finish({ status, headers: answered, body: text });
    });
    if (body === undefined) return;
    for (const part of typeof body === "string" ? [body] : body) stream.write(part);
    stream.end();
  });
}
