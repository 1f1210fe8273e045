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
  GL0362: {
    title: "A part of a TrafficLabel or an ASMHeaderPropagation is not honoured",
    severity: "warning",
    help:
      "Sidecars carry the tags of lane groups and no other headers. Where the object speaks of a " +
      "group's route header, the group takes its context mode from it, unless the group says " +
      "another or the object holds for a part of its services only. The message says which part " +
      "has no effect.",
  },
  GL0363: {
    title: "An ASM ingress rule does not say whether it is online",
    severity: "info",
    help:
      "It is taken to be online. But ASM's own server leaves `online` out where it is false, so " +
      "look at rules that were exported from there, and write the field.",
  },
};
