//! Messages about ASM's objects.

import type { CodeInfo } from "./codes.ts";

export const ASM_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0360: {
    title: "A VirtualService stands beside the routes of an ASM lane group",
    severity: "warning",
    help:
      "ASM's documents say not to mix the two. Where both have a route for a request at one " +
      "host, the VirtualService's is tried first. Of two hosts the narrower one counts, whosever " +
      "it is, as for all routes.",
  },
  GL0361: {
    title: "Weights or rules of ASM lanes have no effect",
    severity: "warning",
    help:
      "A group whose `ingressRoutingStrategy` is `weighted` goes by the `ingressWeight` of its " +
      "lanes, any other by their `ingressRules`. The weights make one route, which leads to one " +
      "service: that of the baseline lane, else of the first lane that names one.",
  },
};
