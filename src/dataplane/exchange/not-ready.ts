//! Answers where a gateway's port has been taken out of the configuration, while it closes.

import { proxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeHandler } from "./handler.ts";

export class NotReadyExchange implements ExchangeHandler {
  readonly role = "gateway";

  onRequest(exchange: Exchange): void {
    exchange.fail(proxyError("not_ready", "this port is no longer in the configuration"));
  }

  onResponse(): null {
    // Nothing to add.
    return null;
  }

  onEnd(): void {
    // Nothing is held.
  }
}
