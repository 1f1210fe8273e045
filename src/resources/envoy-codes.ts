//! Codes of what real Envoys cannot do, or refused.

import type { CodeInfo } from "./codes.ts";

export const ENVOY_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0701: {
    title: "Envoy cannot do what the object asks for",
    severity: "error",
    help:
      "An Envoy that this control plane programs is to do something that Envoy's configuration " +
      "cannot say, or not yet by this control plane. It is not approximated: such a route is " +
      "answered 503, such a port is not opened, such a lane is not entered. The embedded " +
      "gateway is not affected. The list is in docs/envoy.md.",
  },
  GL0702: {
    title: "An Envoy refused its configuration",
    severity: "error",
    help:
      "The message has Envoy's own words. The Envoy keeps its last good configuration of that " +
      "part and runs everything else; `graylane proxy-status` shows which Envoy. All objects " +
      "that are new in the refused part are named, as Envoy does not say which of them it means.",
  },
};
