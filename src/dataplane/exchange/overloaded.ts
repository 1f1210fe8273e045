//! Answers in the place of a gateway that has more to do than it can.

import { proxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeHandler, ResponseDraft } from "./handler.ts";

/** When a client may try again: the load has changed by then, and the refusals with it. */
const RETRY_AFTER_SECONDS = "1";

/** Holds nothing: one serves all exchanges. */
export const OVERLOADED: ExchangeHandler = {
  role: "gateway",

  onRequest(exchange: Exchange): void {
    exchange.fail(proxyError("overload", "the gateway has more to do than it can; try again"));
  },

  onResponse(_exchange: Exchange, { headers }: ResponseDraft): null {
    headers.set("retry-after", RETRY_AFTER_SECONDS);
    return null;
  },

  onEnd(): void {
    // Nothing is held.
  },
};
