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
  GL0266: {
    title: "A route cannot be delegated",
    severity: "error",
    help:
      "The VirtualService that `delegate` names does not exist, has hosts of its own, is not " +
      "exported to the namespace that delegates (`exportTo`), or delegates again: there is one " +
      "level. Requests that take the route answer 503.",
  },
  GL0267: {
    title: "A delegate's route is not within the root's",
    severity: "warning",
    help:
      "A request must meet the match of the route that delegates and that of the delegate's " +
      "route. As in Istio each match of the delegate must be a part of one of the root's: an " +
      "equal text, or a longer prefix; with a regular expression on either side of one field " +
      "nobody can tell. The route is left out.",
  },
  GL0283: {
    title: "A hedge policy cannot be read",
    severity: "error",
    help:
      "The annotation `graylane.io/hedge-policy` of a VirtualService has Envoy's HedgePolicy as " +
      'JSON, of which `hedge_on_per_try_timeout` is known: `{"hedge_on_per_try_timeout": true}`.',
  },
  GL0284: {
    title: "A hedge policy has no effect",
    severity: "warning",
    help:
      "A try is hedged when it takes longer than `retries.perTryTimeout`, and only as often as " +
      "`retries.attempts` allows: the VirtualService has no route with both.",
  },
  GL0285: {
    title: "A DestinationRule is not for all who call",
    severity: "warning",
    help:
      "`exportTo` leaves out the namespace of a Gateway or of a pod. A rule that nobody sees is " +
      "not used. One that some see counts for all callers: they share the settings of a host.",
  },
  GL0286: {
    title: "A VirtualService is not exported to its Gateway",
    severity: "warning",
    help:
      "A gateway sees the VirtualServices that `exportTo` gives to the namespace of the Gateway " +
      "that `gateways` names. The routes do not serve there.",
  },
  GL0287: {
    title: "A destination is not exported to the Gateway",
    severity: "error",
    help:
      "`exportTo` of the ServiceEntry leaves out the namespaces of the Gateways that the routes " +
      "serve at: requests that take the route answer 503. With a usable `fallback` this is a " +
      "warning.",
  },
  GL0288: {
    title: "Endpoints cannot fail over by place",
    severity: "warning",
    help:
      "`localityLbSetting` without `distribute` says where requests go when the nearer endpoints " +
      "are not well, which is known with `outlierDetection` (or a health check) only.",
  },
  GL0289: {
    title: "No Gateway says where it is",
    severity: "warning",
    help:
      "`localityLbSetting` compares the place of the caller with that of the endpoints. The " +
      "annotation `graylane.io/locality` of a Gateway has its `region/zone/sub-zone`.",
  },
  GL0290: {
    title: "Weights of endpoints are disregarded",
    severity: "warning",
    help: "As in Envoy, `simple: RANDOM` draws all endpoints alike, whatever their `weight`.",
  },
  GL0291: {
    title: "A protocol of one subset has no effect",
    severity: "warning",
    help:
      "`useClientProtocol` and `h2UpgradePolicy` count for all of a host: its endpoints share " +
      "one protocol. Write them under `spec.trafficPolicy`, not in a subset.",
  },
  GL0292: {
    title: "Sidecars cannot read what is asked for",
    severity: "warning",
    help:
      "`tls` and `proxyProtocol` of a DestinationRule change what connections begin with. The " +
      "sidecar of a pod of the local cluster takes plain HTTP only, so calls to such pods fail " +
      "(503, or 400 of the sidecar). Both are for hosts without such sidecars.",
  },
  GL0293: {
    title: "A registry cannot be read",
    severity: "error",
    help:
      "The registry that an McpBridge names does not answer, refuses the user, or says what " +
      "cannot be understood. What it said last stays in use (then this is a warning, and says " +
      "since when); it is asked again by itself. [nacos.md](nacos.md) says how.",
  },
  GL0294: {
    title: "A service of a registry is left out",
    severity: "warning",
    help:
      "Its name cannot stand in a host name (Dubbo's interfaces with `:`), or the registry has " +
      "more services than are followed. [nacos.md](nacos.md) has the limits.",
  },
  GL0295: {
    title: "A registry has no service",
    severity: "warning",
    help:
      "Nacos answers an unknown namespace or group with an empty list. `nacosNamespaceId` is the " +
      "id, which is not the name that the console shows.",
  },
  GL0296: {
    title: "A service of a registry is not known here",
    severity: "info",
    help:
      "Hosts that end in `.nacos` are services of a registry that an McpBridge names. Files " +
      "alone do not say whether they are there; the running gateway does.",
  },
  GL0269: {
    title: "A health check cannot be read",
    severity: "error",
    help:
      "The annotation `graylane.io/health-check` of a DestinationRule has one health check of " +
      "Envoy's as JSON. The message names the field; until it is right the endpoints are not " +
      "checked. [http.md](http.md) has the fields.",
  },
  GL0268: {
    title: "Nobody delegates to a VirtualService",
    severity: "info",
    help: "It has no hosts, so that it serves only what other VirtualServices delegate to it.",
  },
};
