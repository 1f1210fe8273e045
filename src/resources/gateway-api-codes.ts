//! Codes of what the compiler finds in objects of the Gateway API.

import type { CodeInfo } from "./codes.ts";

export const GATEWAY_API_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0270: {
    title: "A listener's protocol is not served",
    severity: "warning",
    help:
      "Listeners of the Gateway API are served with the protocols HTTP and HTTPS (TLS mode " +
      "Terminate). The listener's condition Accepted is False with the reason " +
      "UnsupportedProtocol.",
  },
  GL0271: {
    title: "A listener allows kinds of routes that are not served",
    severity: "error",
    help:
      "Known are HTTPRoute and GRPCRoute of gateway.networking.k8s.io. The others of the list " +
      "are used; the listener's condition ResolvedRefs is False (InvalidRouteKinds).",
  },
  GL0272: {
    title: "A listener's certificate cannot be used",
    severity: "error",
    help:
      "`certificateRefs` names a Secret of the type kubernetes.io/tls. In another namespace it " +
      "needs a ReferenceGrant there. Until then the listener takes no connection; its condition " +
      "ResolvedRefs says InvalidCertificateRef or RefNotPermitted.",
  },
  GL0273: {
    title: "A port is asked for in clear and in TLS",
    severity: "error",
    help:
      "Listeners of one port must agree on HTTP or HTTPS. None of them serves; their condition " +
      "Conflicted is True (ProtocolConflict).",
  },
  GL0274: {
    title: "A route's parent is not there",
    severity: "error",
    help:
      "No Gateway has that name in that namespace (the route's own unless `namespace` is " +
      "written), or none of its listeners has that `sectionName` and `port`. The route's " +
      "condition Accepted is False (NoMatchingParent).",
  },
  GL0275: {
    title: "No listener lets the route in",
    severity: "error",
    help:
      "`allowedRoutes` of a listener says which namespaces (only the Gateway's own unless it " +
      "says more) and which kinds of routes are attached (NotAllowedByListeners).",
  },
  GL0276: {
    title: "A route has no hostname of a listener",
    severity: "error",
    help:
      "A route is served at hostnames that lie within a listener's, or whose wildcard has the " +
      "listener's within it (NoMatchingListenerHostname).",
  },
  GL0277: {
    title: "A backend cannot be used",
    severity: "error",
    help:
      "It is no Service (InvalidKind), there is none of that name and port (BackendNotFound), or " +
      "it is in another namespace without a ReferenceGrant there (RefNotPermitted). As the " +
      "specification wants it, its share of the requests is answered 500, calls of gRPC end as " +
      "UNAVAILABLE, and a mirror gets no copies.",
  },
  GL0278: {
    title: "A rule asks for what is not supported",
    severity: "error",
    help:
      "The rule is left out, the others are used (the route's condition PartiallyInvalid), or " +
      "the route is not accepted when no other is there. docs/gateway-api.md has the list of " +
      "what is supported.",
  },
  GL0279: {
    title: "A filter cannot be run",
    severity: "error",
    help:
      "ExtensionRef and ExternalAuth name a filter that must not be skipped, so requests of the " +
      "rule are answered 500. A plug-in is added by a WasmPlugin whose `targetRefs` name the " +
      "Gateway.",
  },
  GL0280: {
    title: "A route's parent is no Gateway",
    severity: "warning",
    help:
      "Routes for the mesh (a Service as the parent) have no effect: calls between pods follow " +
      "the lanes.",
  },
  GL0281: {
    title: "An HTTPRoute and a GRPCRoute have one hostname",
    severity: "error",
    help:
      "At one listener a hostname is of HTTPRoutes or of GRPCRoutes. The older one has it, then " +
      "the first by namespace and name; the other is not accepted there.",
  },
};
