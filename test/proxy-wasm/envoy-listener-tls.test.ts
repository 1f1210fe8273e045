import assert from "node:assert/strict";
import { test } from "node:test";
import { A_TEST, CA } from "../../src/dataplane/testing/certificates.ts";
import { formatFault } from "../../src/resources/format-fault.ts";
import type { TlsServer } from "../../src/snapshot/tls.ts";
import { importBootstrap } from "../../src/envoy/bootstrap.ts";

const TYPES = "type.googleapis.com/envoy.extensions";
const TLS = `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`;
const ROUTES = [{ match: { prefix: "/" }, direct_response: { status: 200 } }];
const HTTP = {
  "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: "s",
  route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: ROUTES }] },
  http_filters: [{ name: "envoy.filters.http.router" }],
};
const TCP = {
  ...{ "@type": `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: "s" },
  cluster: "web",
};
const PAIR = {
  certificate_chain: { inline_string: A_TEST.certificate },
  private_key: { inline_string: A_TEST.privateKey },
};
const TRUSTED = { trusted_ca: { inline_string: CA.certificate } };

interface Parts {
  readonly common?: object;
  /** Of the context, beside the common part. */
  readonly settings?: object;
  /** In place of a context for TLS. */
  readonly typedConfig?: object;
  readonly filter?: object;
  readonly listenerFilters?: readonly object[];
}

function read(parts: Parts): { tls: readonly TlsServer[] | undefined; faults: string[] } {
  const { common = {}, settings = {}, filter = HTTP, listenerFilters } = parts;
  const { typedConfig = { "@type": TLS, common_tls_context: common, ...settings } } = parts;
  const address = { socket_address: { address: "127.0.0.1", port_value: 10000 } };
  const listener = {
    ...{ name: "main", address },
    ...(listenerFilters === undefined ? {} : { listener_filters: listenerFilters }),
    filter_chains: [
      {
        filters: [{ name: "last", typed_config: filter }],
        transport_socket: { name: "socket", typed_config: typedConfig },
      },
    ],
  };
  const endpoint = { endpoint: { address } };
  const cluster = {
    ...{ name: "web", type: "STATIC" },
    load_assignment: { cluster_name: "web", endpoints: [{ lb_endpoints: [endpoint] }] },
  };
  const text = JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } });
  const found = importBootstrap(text, "envoy.yaml", () => "no plug-in");
  const gateway = found.bootstrap?.snapshot.gateways["main"];
  return { tls: gateway?.listeners[0]?.tls, faults: found.faults.map(formatFault) };
}

const PLAIN: TlsServer = {
  ...{ hosts: ["*"], ...A_TEST, clientCa: "" },
  ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
};

const TAKEN: readonly (Parts & { readonly name: string; readonly want: readonly TlsServer[] })[] = [
  { name: "a certificate", common: { tls_certificates: [PAIR] }, want: [PLAIN] },
  {
    name: "versions and protocols",
    common: {
      ...{ tls_certificates: [PAIR], alpn_protocols: ["h2", "http/1.1"] },
      tls_params: { tls_minimum_protocol_version: "TLSv1_3" },
    },
    want: [{ ...PLAIN, minVersion: "TLSv1.3" }],
  },
  {
    name: "certificates of clients",
    common: { tls_certificates: [PAIR], validation_context: TRUSTED },
    settings: { require_client_certificate: true },
    want: [{ ...PLAIN, clientCa: CA.certificate }],
  },
  {
    name: "behind the listener filter that looks for TLS",
    common: { tls_certificates: [PAIR] },
    listenerFilters: [
      {
        name: "i",
        typed_config: { "@type": `${TYPES}.filters.listener.tls_inspector.v3.TlsInspector` },
      },
    ],
    want: [PLAIN],
  },
];

for (const { name, want, ...parts } of TAKEN) {
  test(`a listener ends TLS: ${name}`, () => {
    assert.deepEqual(read(parts), { tls: want, faults: [] });
  });
}

test("a raw buffer is a listener in clear", () => {
  const typedConfig = { "@type": `${TYPES}.transport_sockets.raw_buffer.v3.RawBuffer` };
  assert.deepEqual(read({ typedConfig }), { tls: undefined, faults: [] });
});

const PARAMETERS = "tls_params";
const REFUSED: readonly (Parts & { readonly name: string; readonly fault: RegExp })[] = [
  {
    name: "no certificate",
    fault: /GL0621: .*tls_certificates is missing; it must be a list with one certificate/,
  },
  {
    name: "a second certificate",
    common: { tls_certificates: [PAIR, PAIR] },
    fault: /GL0622: .*tls_certificates\[1\]: a second certificate is not supported/,
  },
  {
    name: "a key that is no PEM",
    common: { tls_certificates: [{ ...PAIR, private_key: { inline_string: "x" } }] },
    fault: /GL0621: .*private_key is .*; it must be PEM: /,
  },
  {
    name: "a key of another certificate",
    common: { tls_certificates: [{ ...PAIR, private_key: { inline_string: CA.privateKey } }] },
    fault: /GL0621: .*tls_certificates .*must be a certificate with the key that belongs to it/,
  },
  {
    name: "certificates that are asked for and not demanded",
    common: { tls_certificates: [PAIR], validation_context: TRUSTED },
    fault: /GL0622: .*validation_context: one without require_client_certificate is not supported/,
  },
  {
    name: "certificates of clients of no authority",
    common: { tls_certificates: [PAIR] },
    settings: { require_client_certificate: true },
    fault: /GL0621: .*validation_context is missing; it must be a map of fields/,
  },
  {
    name: "a protocol that is not spoken",
    common: { tls_certificates: [PAIR], alpn_protocols: ["h3"] },
    fault: /GL0621: .*alpn_protocols\[0\] is "h3"; it must be one of h2, http\/1\.1/,
  },
  {
    name: "a version that is not spoken",
    common: {
      ...{ tls_certificates: [PAIR] },
      [PARAMETERS]: { tls_minimum_protocol_version: "TLSv1_0" },
    },
    fault: /GL0621: .*tls_minimum_protocol_version is "TLSv1_0"; it must be one of TLS_AUTO/,
  },
  {
    name: "versions that exclude each other",
    common: {
      ...{ tls_certificates: [PAIR] },
      [PARAMETERS]: {
        tls_minimum_protocol_version: "TLSv1_3",
        tls_maximum_protocol_version: "TLSv1_2",
      },
    },
    fault: /GL0621: .*tls_params .*must be a minimum version that is not above the maximum/,
  },
  {
    name: "a field that is not read",
    common: { tls_certificates: [PAIR], crl: {} },
    fault: /GL0622: .*common_tls_context\.crl is not supported/,
  },
  {
    name: "TLS before a TCP proxy",
    common: { tls_certificates: [PAIR] },
    filter: TCP,
    fault: /GL0622: .*TLS before network filters and TCP proxies is not supported/,
  },
  {
    name: "another transport socket",
    typedConfig: { "@type": "x/Quic" },
    fault: /GL0622: .*the transport socket Quic is not supported/,
  },
  {
    name: "another listener filter",
    common: { tls_certificates: [PAIR] },
    listenerFilters: [{ name: "d", typed_config: { "@type": "x/OriginalDst" } }],
    fault: /GL0622: .*the listener filter OriginalDst is not supported/,
  },
];

for (const { name, fault, ...parts } of REFUSED) {
  test(`refused of a listener's TLS: ${name}`, () => {
    const { faults } = read(parts);
    assert.equal(faults.length, 1, faults.join("\n"));
    assert.match(faults.join("\n"), fault);
    const secrets = [A_TEST.privateKey, CA.privateKey].map((key) => key.split("\n")[1] ?? "");
    assert.ok(!secrets.some((secret) => faults.join("\n").includes(secret)), "no key is shown");
  });
}
