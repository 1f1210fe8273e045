//! The annotation of a DestinationRule that says how its host's endpoints are asked whether they
//! are well: one of Envoy's health checks, as JSON.

import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { HealthCheck, HealthQuestion } from "../snapshot/routing.ts";
import type { MessageList } from "./messages.ts";

export const HEALTH_CHECK_ANNOTATION = "graylane.io/health-check";

const MS_PER_SECOND = 1_000;
const DURATION_MS_MAX = 86_400_000;
const INTERVAL_MS_MIN = 100;
const THRESHOLD_MAX = 1_000;
const PERCENT_MAX = 100;
const STATUS_MIN = 100;
const STATUS_MAX = 600;
const BYTES_TEXT_MAX = 8_192;
const METHODS: ReadonlySet<string> = new Set([
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"],
]);

type Fields = Readonly<Record<string, unknown>>;

/** Why a text is no health check: a sentence after the name of the field. */
class Unreadable extends Error {}

/** Null: none is asked for, or it cannot be read, which is said. */
export function compileHealthCheck(
  rule: DestinationRule,
  messages: MessageList,
): HealthCheck | null {
  const text = rule.metadata.annotations?.[HEALTH_CHECK_ANNOTATION];
  if (text === undefined) return null;
  try {
    return readCheck(text);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    messages.add(rule, {
      severity: "error",
      code: "GL0269",
      path: `metadata.annotations["${HEALTH_CHECK_ANNOTATION}"]`,
      message: `${error.message}: the endpoints are not checked`,
      remedy: "Write a health check of Envoy's as JSON; docs/http.md has its fields.",
    });
    return null;
  }
}

function readCheck(text: string): HealthCheck {
  const reader = new Reader("", parse(text));
  const intervalMs = reader.duration("interval", null, INTERVAL_MS_MIN);
  const unhealthyMs = reader.duration("unhealthy_interval", intervalMs, INTERVAL_MS_MIN);
  const check = {
    timeoutMs: reader.duration("timeout", null, 1),
    intervalMs,
    unhealthyIntervalMs: unhealthyMs,
    unhealthyEdgeIntervalMs: reader.duration(
      "unhealthy_edge_interval",
      unhealthyMs,
      INTERVAL_MS_MIN,
    ),
    healthyEdgeIntervalMs: reader.duration("healthy_edge_interval", intervalMs, INTERVAL_MS_MIN),
    jitterMs: reader.duration("interval_jitter", 0, 0),
    jitterPercent: reader.integer("interval_jitter_percent", [0, PERCENT_MAX], 0),
    initialJitterMs: reader.duration("initial_jitter", 0, 0),
    unhealthyThreshold: reader.integer("unhealthy_threshold", [1, THRESHOLD_MAX], null),
    healthyThreshold: reader.integer("healthy_threshold", [1, THRESHOLD_MAX], null),
    ask: readQuestion(reader),
  };
  reader.end();
  return check;
}

function parse(text: string): Fields {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Unreadable("the text is no JSON object");
}

function readQuestion(reader: Reader): HealthQuestion {
  const kinds = ["http_health_check", "tcp_health_check", "grpc_health_check"];
  const given = kinds.filter((kind) => reader.has(kind));
  if (given.length !== 1) throw new Unreadable(`it needs one of ${kinds.join(", ")}`);
  const inner = reader.object(given[0] ?? "");
  const question = QUESTIONS[given[0] ?? ""]?.(inner);
  if (question === undefined) throw new Unreadable("it asks nothing");
  inner.end();
  return question;
}

const QUESTIONS: Readonly<Record<string, (reader: Reader) => HealthQuestion>> = {
  http_health_check: (reader) => {
    const path = reader.text("path", null);
    if (!/^\/[\x21-\x7e]*$/.test(path)) throw new Unreadable("path must begin with /");
    const method = reader.text("method", "GET");
    if (!METHODS.has(method)) throw new Unreadable(`method ${method} is not one of HTTP's`);
    const host = reader.text("host", "");
    if (!/^[\x21-\x7e]*$/.test(host)) throw new Unreadable("host must be a host name");
    const expected = reader.objects("expected_statuses").map(statusRange);
    const statuses = expected.length === 0 ? OK : expected;
    const retriable = reader.objects("retriable_statuses").map(statusRange);
    return { kind: "http", method, path, host, statuses, retriable };
  },
  tcp_health_check: (reader) => {
    const send = reader.has("send") ? payload(reader.object("send")) : "";
    return { kind: "tcp", send, receive: reader.objects("receive").map(payload) };
  },
  grpc_health_check: (reader) => ({
    kind: "grpc",
    service: reader.text("service_name", ""),
    authority: reader.text("authority", ""),
  }),
};

function statusRange(range: Reader): readonly [number, number] {
  const from = range.integer("start", [STATUS_MIN, STATUS_MAX], null);
  const to = range.integer("end", [from + 1, STATUS_MAX], null);
  range.end();
  return [from, to];
}

const OK: readonly (readonly [number, number])[] = [[200, 201]];

function payload(reader: Reader): string {
  const text = reader.text("text", null);
  reader.end();
  const isHex = /^([0-9a-fA-F]{2})+$/.test(text) && text.length <= BYTES_TEXT_MAX;
  if (!isHex) throw new Unreadable("text must be bytes in hexadecimal digits");
  return text.toLowerCase();
}

/** Takes the fields of an object one by one, so that what is left over is known. */
class Reader {
  readonly #name: string;
  readonly #fields: Fields;
  readonly #taken = new Set<string>();

  constructor(name: string, fields: Fields) {
    this.#name = name;
    this.#fields = fields;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  end(): void {
    const rest = Object.keys(this.#fields).find((name) => !this.#taken.has(name));
    if (rest !== undefined) throw new Unreadable(`${this.#path(rest)} is no field that is known`);
  }

  text(name: string, otherwise: string | null): string {
    const value = this.#take(name, otherwise);
    if (typeof value !== "string") throw new Unreadable(`${this.#path(name)} must be a text`);
    return value;
  }

  integer(name: string, [min, max]: readonly [number, number], otherwise: number | null): number {
    const value = this.#take(name, otherwise);
    if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) {
      return Number(value);
    }
    throw new Unreadable(`${this.#path(name)} must be a whole number from ${min} to ${max}`);
  }

  /** Seconds with `s` behind them, as in Envoy's JSON. */
  duration(name: string, otherwiseMs: number | null, minMs: number): number {
    if (!this.has(name) && otherwiseMs !== null) return otherwiseMs;
    const text = /^(\d{1,6}(?:\.\d{1,9})?)s$/.exec(this.text(name, null))?.[1];
    const ms = Number(text ?? Number.NaN) * MS_PER_SECOND;
    if (ms >= minMs && ms <= DURATION_MS_MAX) return ms;
    throw new Unreadable(
      `${this.#path(name)} must be seconds such as "5s" or "0.5s", at least ${minMs} ms`,
    );
  }

  object(name: string): Reader {
    return this.#readerOf(this.#path(name), this.#take(name, null));
  }

  objects(name: string): Reader[] {
    const value = this.#take(name, []);
    if (!Array.isArray(value)) throw new Unreadable(`${this.#path(name)} must be a list`);
    return value.map((item, index) => this.#readerOf(`${this.#path(name)}[${index}]`, item));
  }

  #readerOf(path: string, value: unknown): Reader {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return new Reader(path, value as Fields);
    }
    throw new Unreadable(`${path} must be an object`);
  }

  #take(name: string, otherwise: unknown): unknown {
    this.#taken.add(name);
    if (this.has(name)) return this.#fields[name];
    if (otherwise === null) throw new Unreadable(`${this.#path(name)} is missing`);
    return otherwise;
  }

  #path(name: string): string {
    return this.#name === "" ? name : `${this.#name}.${name}`;
  }
}
