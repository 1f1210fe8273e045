//! Answers while there is no configuration for a listener (a worker that is starting or closing).

import { proxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeHandler } from "./handler.ts";

export class NotReadyExchange implements ExchangeHandler {
  readonly role: ExchangeHandler["role"];

  constructor(role: ExchangeHandler["role"]) {
    this.role = role;
  }

  onRequest(exchange: Exchange): void {
    exchange.fail(proxyError("not_ready", "this listener has no configuration at the moment"));
  }

  onResponse(): null {
    // Nothing to add.
    return null;
  }

  onEnd(): void {
    // Nothing is held.
  }
}
