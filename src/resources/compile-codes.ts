//! Codes of what the compiler finds between objects: references, lanes, plug-ins.

import type { CodeInfo } from "./codes.ts";

export const COMPILE_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0201: {
    title: "A destination's host is no Service",
    severity: "error",
    help:
      "The host is a Service's name (short names are looked up in the VirtualService's " +
      "namespace) or its full name `name.namespace.svc.cluster.local`. Until it exists, the " +
      "route is served by its `fallback`, else answered 503; with a fallback this is a " +
      "warning.",
  },
  GL0202: {
    title: "A destination's port is not clear",
    severity: "error",
    help:
      "The Service has no such TCP port, or several ports and the destination names none. " +
      "Write `port.number`. With a usable `fallback` this is a warning.",
  },
  GL0203: {
    title: "A subset does not exist",
    severity: "error",
    help:
      "A subset is the name of a lane, in a lane group that has the service as a member, or a " +
      "subset of a DestinationRule. Until it exists, the route is served by its `fallback` " +
      "(then this is a warning), else answered 503.",
  },
  GL0204: {
    title: "A VirtualService names a Gateway that does not exist",
    severity: "error",
    help:
      "Write `namespace/name`, or the name alone for a Gateway in the VirtualService's " +
      "namespace.",
  },
  GL0205: {
    title: "Two routes of a VirtualService have one name",
    severity: "warning",
    help:
      "Both are used, in their order; only logs and `explain` cannot tell them apart by name. " +
      "Rename one.",
  },
  GL0206: {
    title: "Two VirtualServices have routes for one host",
    severity: "warning",
    help:
      "At one gateway their routes are tried one VirtualService after the other, in the order " +
      "of namespace and name. Put the routes into one VirtualService, so that their order is " +
      "plain.",
  },
  GL0207: {
    title: "Routes for the mesh name no service",
    severity: "warning",
    help:
      "A VirtualService without `gateways`, or with `mesh` among them, is for calls of pods to " +
      "Services, and to hosts of ServiceEntries. Calls to other hosts follow no routes, and `*` " +
      "may not stand for all. Name a Gateway under `gateways` for the routes to serve there.",
  },
  GL0208: {
    title: "A Gateway admits none of the hosts",
    severity: "warning",
    help:
      "A VirtualService serves at a Gateway only for hosts that one of the Gateway's HTTP " +
      "servers lists (and whose `namespace/` prefix admits the VirtualService's namespace).",
  },
  GL0209: {
    title: "A Gateway's port is not opened",
    severity: "warning",
    help:
      "The embedded gateway serves HTTP and HTTPS; a server of another protocol (TCP, TLS " +
      "passed through) is left out.",
  },
  GL0210: {
    title: "A DestinationRule's host is no Service",
    severity: "warning",
    help: "Its subsets are not used. Correct the host, or apply the Service.",
  },
  GL0211: {
    title: "Requests without a header match no route",
    severity: "warning",
    help:
      "Every route of the virtual host wants a header, so other requests get a 404 that names " +
      "the rules. It is information while a plug-in sets the header, and a warning when none " +
      "does. Add a last route without `match`, or keep the plug-in.",
  },
  GL0212: {
    title: "A pod's annotations about its sidecar cannot be read",
    severity: "error",
    help:
      "The annotations `local.graylane.io/...` are written by the local cluster. Delete the " +
      "pod: it is made anew. `graylane.io/inbound-ports` and `graylane.io/outbound-port` are " +
      "written by `graylane inject`: inject the workload again. Until then its sidecar is told " +
      "nothing, and callers reach the app without it.",
  },
  GL0213: {
    title: "A route's fallback does not exist",
    severity: "warning",
    help:
      "The route is used; but when its own destination has no endpoint, there is nothing to " +
      "fall back to. Correct the host or subset under `fallback.target`.",
  },
  GL0214: {
    title: "A route says nothing that can be done",
    severity: "error",
    help:
      "A route needs one of `route`, `redirect`, `directResponse` and `delegate`. Requests that " +
      "take the route answer 503.",
  },
  GL0215: {
    title: "A Service selects nothing",
    severity: "info",
    help:
      "No Deployment and no Pod carries the labels of the Service's selector, so calls to it " +
      "answer 503. A Service without a selector has the endpoints of the EndpointSlices whose " +
      "label `kubernetes.io/service-name` names it.",
  },
  GL0216: {
    title: "A route is never reached",
    severity: "warning",
    help: "An earlier route has no `match` and takes every request. Put it last.",
  },
  GL0217: {
    title: "Two gateways ask for one port",
    severity: "error",
    help:
      "Gateway resources with different selectors are different gateways, and the embedded " +
      "engine runs them all on one machine: the first by its selector gets the port.",
  },
  GL0218: {
    title: "A retry condition is not known",
    severity: "warning",
    help:
      "`retryOn` is a list, separated by commas, of conditions and status codes. The others of " +
      "the list are used. Conditions of gRPC are accepted, and hold for no request of HTTP/1.1.",
  },
  GL0219: {
    title: "Two Ingresses have one path of one host",
    severity: "warning",
    help:
      "The first by namespace and name serves it. Remove one of the two, or make it a canary " +
      '(annotation `canary: "true"`).',
  },
  GL0220: {
    title: "A canary Ingress has no base",
    severity: "warning",
    help:
      "A canary takes a share of an Ingress with the same host, path and path type. There is " +
      "none, so it takes nobody.",
  },
  GL0221: {
    title: "A canary Ingress takes nobody",
    severity: "info",
    help: "It names no header, no cookie and no weight above 0.",
  },
  GL0222: {
    title: "An Ingress annotation cannot be read",
    severity: "error",
    help:
      "`canary` is `true` or `false`; `canary-weight` and `canary-weight-total` are whole " +
      "numbers of 0 or more; " +
      "`canary-by-header-pattern` is a regular expression of RE2's syntax.",
  },
  GL0223: {
    title: "An Ingress annotation has no effect",
    severity: "warning",
    help:
      "Of the annotations of ingress-nginx and Higress those for canaries are honoured; the " +
      "others are not yet.",
  },
  GL0224: {
    title: "Too many canaries of one path are kept out of apart",
    severity: "error",
    help:
      "Each canary asks its own header and cookie, and every combination of those that keep out " +
      "is a route. Five canaries of one path may have weights and differ in that; those that " +
      "share the names count as one. The weight of a further one takes nobody; its header and " +
      "cookie do.",
  },
  GL0240: {
    title: "An annotation of a Gateway is not understood",
    severity: "error",
    help:
      "The annotations `graylane.io/…` of a Gateway set how requests are taken in; " +
      "docs/http.md has the names and values. Until it is right, the default is used.",
  },
  GL0241: {
    title: "The Secret of a TLS server is missing",
    severity: "error",
    help:
      "`tls.credentialName` of a Gateway, `secretName` of an Ingress: a Secret of its namespace " +
      "or of `istio-system`. " +
      "Until it exists, TLS handshakes for the server's hosts fail.",
  },
  GL0242: {
    title: "The Secret of a TLS server is not usable",
    severity: "error",
    help:
      "`tls.crt` and `tls.key` (or `cert` and `key`) are a certificate chain and its key in PEM; " +
      "for `MUTUAL` there is also `ca.crt` (or `cacert`, or the Secret `NAME-cacert`). Until it " +
      "is right, TLS handshakes for the server's hosts fail.",
  },
  GL0243: {
    title: "A mode of TLS to a host is not served",
    severity: "error",
    help:
      "`ISTIO_MUTUAL` takes its certificates from Istio's own agent, and there is none here. Use " +
      "`MUTUAL` or `SIMPLE` with `credentialName` or files, or `DISABLE`. Until then requests to " +
      "the host are answered 503: they are not sent in clear instead.",
  },
  GL0244: {
    title: "The Secret of TLS to a host is missing",
    severity: "error",
    help:
      "`trafficPolicy.tls.credentialName` names a Secret in the DestinationRule's namespace or " +
      "in `istio-system`. Until it exists, requests to the host are answered 503.",
  },
  GL0245: {
    title: "The Secret of TLS to a host is not usable",
    severity: "error",
    help:
      "`SIMPLE` wants the authorities in `ca.crt` (or `cacert`, or in the Secret `NAME-cacert`); " +
      "`MUTUAL` wants `tls.crt` and `tls.key` (or `cert` and `key`), and trusts the system's " +
      "authorities when there are none beside them. Until it is right, requests to the host are " +
      "answered 503.",
  },
  GL0246: {
    title: "The settings of TLS to a host contradict each other",
    severity: "error",
    help:
      "`credentialName` and files exclude each other; `MUTUAL` wants a certificate with its " +
      "key, and `SIMPLE` shows none; `insecureSkipVerify` excludes what would be verified. " +
      "Until it is right, requests to the host are answered 503.",
  },
  GL0301: {
    title: "A lane's group does not exist",
    severity: "error",
    help:
      "A Lane names a LaneGroup of its own namespace; an ASMSwimLane names its group by the " +
      "label `swimlane-group`. Until the group exists, the lane takes nobody.",
  },
  GL0302: {
    title: "A lane group's Gateway does not exist",
    severity: "error",
    help:
      "The group's lanes cannot be entered there. Correct the name and namespace, or apply " +
      "the Gateway.",
  },
  GL0303: {
    title: "A lane group's service does not exist",
    severity: "warning",
    help: "Correct the name and namespace, or apply the Service.",
  },
  GL0304: {
    title: "The baseline lane does not exist",
    severity: "error",
    help:
      "Requests in no lane, and every fallback, would be served by that lane's pods. Name a " +
      "lane of the group, or apply that lane. For ASM's objects the lane that was made first " +
      "stands in.",
  },
  GL0305: {
    title: "A service's fallback cannot work",
    severity: "warning",
    help:
      "The service is not a member of the lane group, or the lane that should stand in does " +
      "not exist. The baseline stands in.",
  },
  GL0306: {
    title: "Two lanes select the same pods",
    severity: "warning",
    help:
      "Both lanes are served by the same pods, so they do not isolate anything. Give each a " +
      "label value of its own.",
  },
  GL0307: {
    title: "A pod is in two lanes",
    severity: "warning",
    help:
      "It serves requests of both. Give each pod the labels of one lane, or make the " +
      "selectors narrower.",
  },
  GL0308: {
    title: "A pod is in no lane and not in the baseline",
    severity: "warning",
    help:
      "It carries a lane label whose value no lane of the group selects, so no request of the " +
      "group reaches it. Correct the label, apply the lane, or delete what is left over.",
  },
  GL0309: {
    title: "A lane has no pods",
    severity: "info",
    help: "Nothing that runs carries the lane's labels. Its requests are served by the fallback.",
  },
  GL0310: {
    title: "Two lanes have one tag",
    severity: "error",
    help:
      "The tag is the value of the route header; the lane that decides first takes the " +
      "requests. Give each lane a tag of its own.",
  },
  GL0311: {
    title: "A lane's service is not of the lane group",
    severity: "warning",
    help: "Calls to the service do not follow lanes. Add it to the group's services.",
  },
  GL0312: {
    title: "A lane does not hold the service of a route",
    severity: "info",
    help:
      "The route names the lane, and the lane does not have the service, so the fallback " +
      "serves. Usual for an entry service that is not part of a canary.",
  },
  GL0315: {
    title: "An ASM ingress rule makes no route, or one for every request",
    severity: "warning",
    help:
      "A rule makes a route at the group's gateway when it names a destination. Without one, or " +
      "without a gateway, it only decides the lane at routes of VirtualServices, and is left out " +
      "when it has no match either. A rule that makes a route and has no match takes every " +
      "request of its hosts that no earlier route takes.",
  },
  GL0316: {
    title: "The baseline lane is closed",
    severity: "warning",
    help:
      "Closing takes requests out of a lane, and the baseline is where they go: its pods " +
      "serve all the same.",
  },
  GL0317: {
    title: "Two lane groups share a route header or a baggage member",
    severity: "error",
    help:
      "They share a gateway or a service too, so on one request each would overwrite the lane of " +
      "the other; the first group that decides for a lane wins. Give each group a route header " +
      "and, in mode `baggage`, a member of its own.",
  },
  GL0318: {
    title: "A route names a closed lane",
    severity: "info",
    help: "Its requests are served by the fallback until the lane is enabled again.",
  },
  GL0420: {
    title: "A plug-in has no module",
    severity: "error",
    help:
      "The module has not been looked up or cannot be had. A plug-in that ran before keeps " +
      "its last good module and configuration. Else `FAIL_OPEN` serves without it, and " +
      "`FAIL_CLOSE` (the default) answers 503 at its gateways, since a plug-in may guard " +
      "them.",
  },
  GL0421: {
    title: "A plug-in selects no gateway",
    severity: "warning",
    help:
      "`selector.matchLabels` must be among the selector of a Gateway, and the plug-in in " +
      "`istio-system` or in the Gateway's namespace. A `targetRef` names a Gateway of the " +
      "plug-in's own namespace; `match` must take CLIENT traffic, at a port of the Gateway.",
  },
  GL0422: {
    title: "A plug-in sets a tag that no lane has",
    severity: "warning",
    help:
      "The configuration gives some users a tag that no lane of the gateway's lane group has; " +
      "they travel in the baseline.",
  },
  GL0425: {
    title: "A plug-in is for TCP connections",
    severity: "error",
    help: "`type: NETWORK` is not run by gateways. Plug-ins for HTTP have no type or `HTTP`.",
  },
  GL0426: {
    title: "A plug-in runs on more ports than it asks for",
    severity: "warning",
    help:
      "A gateway has one filter chain for all its ports. `match[].ports` chooses gateways by " +
      "their ports; it does not part the ports of one gateway.",
  },
};
