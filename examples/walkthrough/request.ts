//! One request as a user would send it, and what is expected of its answer.

import { Agent, request as httpRequest } from "node:http";

export interface Question {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Answer {
  /** 0 when there was none; then the body says why. */
  readonly status: number;
  readonly body: string;
}

/** What an answer must be. In `body`, `IP` stands for any IPv4 address and `...` for any text. */
export interface Expected {
  readonly status: number;
  readonly body: string;
}

const TIMEOUT_MS = 15_000;
const BODY_CHARS_MAX = 65_536;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

/** Never rejects: a broken connection is an answer with status 0. */
export function ask(origin: string, question: Question): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = (error: Error): void => {
      resolve({ status: 0, body: error.message });
    };
    const { headers } = question;
    const url = new URL(question.path, origin);
    const request = httpRequest(url, { agent, headers, timeout: TIMEOUT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body = (body + text).slice(0, BODY_CHARS_MAX);
      });
      response.on("error", fail);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    request.on("timeout", () => {
      request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`));
    });
    request.on("error", fail);
    request.end();
  });
}

/** Closes the idle connections, so that the process can end. */
export function hangUp(): void {
  agent.destroy();
}

export function isAsExpected(answer: Answer, expected: Expected): boolean {
  return answer.status === expected.status && patternOf(expected.body).test(answer.body.trim());
}

function patternOf(text: string): RegExp {
  const escaped = text
    .replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
    .replaceAll("\\.\\.\\.", "[^]*")
    .replace(/\bIP\b/g, "\\d{1,3}(?:\\.\\d{1,3}){3}");
  return new RegExp(`^${escaped}$`);
}

export function questionText({ path, headers }: Question): string {
  const fields = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${value}'`);
  return `GET ${path}${fields.join("")}`;
}

/** One line: the status where it is not 200, and the body without line ends. */
export function answerText({ status, body }: Answer | Expected): string {
  const line = body.trim().replace(/\s*\n\s*/g, " | ");
  return status === 200 ? line : `${status} ${line}`;
}
