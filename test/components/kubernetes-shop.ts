//! What the tests of the controller have in their cluster: a gateway, a service `cart` with a
//! baseline and a lane `gray`, and Pods whose addresses are loopback addresses of this machine.

export const SHOP = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ["*"]
  gateways: [shop]
  http: [{ route: [{ destination: { host: cart, port: { number: 80 } } }] }]
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: default }
spec:
  selector: { app: cart }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shop, namespace: default }
spec:
  entry: { gateways: [{ name: shop }] }
  services: [{ name: cart }]
  context: { routeHeader: x-shop-lane }
`;

/** Users with that header are in the lane. */
export function laneOf(rule: string): string {
  return `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: gray, namespace: default }
spec:
  group: shop
  selector: { matchLabels: { version: gray } }
  rule: { header: x-user, ${rule} }
`;
}

export function podOf(name: string, version: string, port: number): string {
  const labels = `app: cart${version === "" ? "" : `, version: ${version}`}`;
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: default, labels: { ${labels} } }
spec:
  automountServiceAccountToken: false
  containers:
  - name: app
    image: cart
    ports: [{ name: http, containerPort: ${port} }]
    readinessProbe: { httpGet: { path: /, port: http } }
`;
}

/** A Service that somebody else keeps the endpoints of, for requests to `stock.example`. */
export const STOCK = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: stock, namespace: default }
spec:
  hosts: [stock.example]
  gateways: [shop]
  http: [{ route: [{ destination: { host: stock } }] }]
---
apiVersion: v1
kind: Service
metadata: { name: stock, namespace: default }
spec: { ports: [{ name: http, port: 80 }] }
`;

/** The API server takes no loopback address. */
export function stockAt(address: string, port: number): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: stock-1
  namespace: default
  labels: { kubernetes.io/service-name: stock }
addressType: IPv4
endpoints: [{ addresses: [${address}], conditions: { ready: true } }]
ports: [{ name: http, port: ${port}, protocol: TCP }]
`;
}

/** As a kubelet writes it. */
export function readyAt(podIP: string, isReady = true): string {
  const conditions = [{ type: "Ready", status: isReady ? "True" : "False" }];
  return JSON.stringify({
    status: { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions },
  });
}
