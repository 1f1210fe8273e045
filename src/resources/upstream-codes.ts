//! Codes of what is found about hosts and their endpoints: ServiceEntries, delegates, checks.

import type { CodeInfo } from "./codes.ts";

export const UPSTREAM_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0260: {
    title: "Two objects stand for one host",
    severity: "warning",
    help:
      "A Service goes before a ServiceEntry for the same host, and of several ServiceEntries the " +
      "first by namespace and name counts. Put what is said of one host into one object.",
  },
  GL0261: {
    title: "A ServiceEntry's wildcard host is not used",
    severity: "warning",
    help:
      "Endpoints are found by whole hosts. A wildcard has a meaning with `resolution: NONE` " +
      "only, where calls of sidecars go where the app sends them.",
  },
  GL0262: {
    title: "A ServiceEntry's address is not used",
    severity: "warning",
    help: "Sidecars know a ServiceEntry by its hosts, and by single addresses of IPv4.",
  },
  GL0263: {
    title: "A name cannot be resolved",
    severity: "error",
    help:
      "DNS gave no address for a host or endpoint of a ServiceEntry. Addresses that were known " +
      "before stay in use (then this is a warning); without any the endpoint is left out. It is " +
      "asked again by itself, after 5 seconds at first and at least once a minute.",
  },
  GL0264: {
    title: "A ServiceEntry selects nothing",
    severity: "info",
    help:
      "No WorkloadEntry and no ready Pod of its namespace carries the labels of " +
      "`workloadSelector`, so calls to its hosts answer 503.",
  },
  GL0265: {
    title: "A destination has no address that a gateway knows",
    severity: "error",
    help:
      "The ServiceEntry has `resolution: NONE`: a call goes to the address that the app dialled, " +
      "and at a gateway there is none. Write `DNS` or `STATIC`. With a usable `fallback` this is " +
      "a warning.",
  },
};
