//! Headers of the PROXY protocol as bytes, and who the client is after them.

export interface ProxyCase {
  readonly name: string;
  readonly header: Buffer;
  /** The client's address; `own`: the connection's own; `closed`: refused. */
  readonly want: string;
  /** What Envoy 1.40 makes of it, where that is something else. */
  readonly envoy?: string;
}

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** 192.0.2.1:56324 to 198.51.100.7:443. */
const IPV4 = Buffer.from("c0000201c6336407dc0401bb", "hex");
/** 2001:db8::1 to 2001:db8::2, the same ports. */
const IPV6 = Buffer.from(`20010db8${"0".repeat(23)}120010db8${"0".repeat(23)}2dc0401bb`, "hex");

function v1(line: string): Buffer {
  return Buffer.from(line, "latin1");
}

interface V2 {
  readonly command?: number;
  readonly family?: number;
  readonly rest?: Buffer;
  readonly length?: number;
}

function v2({ command = 0x21, family = 0x11, rest = IPV4, length = rest.length }: V2): Buffer {
  const fixed = Buffer.from([command, family, length >> 8, length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, rest]);
}

/** Type, length, value. */
function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value]);
}

const LONGEST_IPV6 = "2001:1db8:ffff:ffff:ffff:ffff:ffff:ffff";

export const PROXY_CASES: readonly ProxyCase[] = [
  {
    name: "v1: TCP4",
    header: v1("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"),
    want: "192.0.2.1",
  },
  {
    name: "v1: TCP6, told in the short form",
    header: v1("PROXY TCP6 2001:0db8:0::1 2001:db8::2 56324 443\r\n"),
    want: "2001:db8::1",
  },
  {
    name: "v1: the longest addresses",
    header: v1(`PROXY TCP6 ${LONGEST_IPV6} ${LONGEST_IPV6} 65535 65535\r\n`),
    want: LONGEST_IPV6,
  },
  { name: "v1: UNKNOWN", header: v1("PROXY UNKNOWN\r\n"), want: "own" },
  {
    name: "v1: UNKNOWN with addresses, of 107 bytes",
    header: v1(`PROXY UNKNOWN ${LONGEST_IPV6} ${LONGEST_IPV6} 65535 65535\r\n`),
    want: "own",
  },
  {
    name: "v1: a line of 108 bytes",
    header: v1(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`),
    want: "closed",
    envoy: "own",
  },
  {
    name: "v1: no end of line",
    header: v1(`PROXY TCP4 ${"1".repeat(200)}`),
    want: "closed",
  },
  {
    name: "v1: a lone LF",
    header: v1("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n"),
    want: "closed",
  },
  {
    name: "v1: an unknown family",
    header: v1("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    want: "closed",
  },
  { name: "v1: a port is missing", header: v1("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"), want: "closed" },
  { name: "v1: one word more", header: v1("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), want: "closed" },
  { name: "v1: two blanks", header: v1("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"), want: "closed" },
  {
    name: "v1: a port above 65535",
    header: v1("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n"),
    want: "closed",
  },
  {
    name: "v1: a port with a sign",
    header: v1("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"),
    want: "closed",
    envoy: "1.1.1.1",
  },
  {
    name: "v1: a port with a zero before",
    header: v1("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"),
    want: "closed",
    envoy: "1.1.1.1",
  },
  {
    name: "v1: an address out of range",
    header: v1("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"),
    want: "closed",
  },
  { name: "v1: an IPv6 address as TCP4", header: v1("PROXY TCP4 ::1 ::2 1 2\r\n"), want: "closed" },
  {
    name: "v1: an IPv4 address as TCP6",
    header: v1("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"),
    want: "closed",
  },
  {
    name: "v1: an address with a zone",
    header: v1("PROXY TCP6 fe80::1%lo ::2 1 2\r\n"),
    want: "closed",
    envoy: "fe80::1%1",
  },
  { name: "v1: lower case", header: v1("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), want: "closed" },
  { name: "v2: TCP over IPv4", header: v2({}), want: "192.0.2.1" },
  { name: "v2: TCP over IPv6", header: v2({ family: 0x21, rest: IPV6 }), want: "2001:db8::1" },
  {
    name: "v2: LOCAL",
    header: v2({ command: 0x20, family: 0, rest: Buffer.alloc(0) }),
    want: "own",
  },
  {
    name: "v2: LOCAL with addresses, which are not taken",
    header: v2({ command: 0x20 }),
    want: "own",
  },
  {
    name: "v2: PROXY of an unspecified family",
    header: v2({ family: 0, rest: Buffer.alloc(3) }),
    want: "own",
    envoy: "closed",
  },
  {
    name: "v2: a Unix socket",
    header: v2({ family: 0x31, rest: Buffer.alloc(216) }),
    want: "own",
    envoy: "closed",
  },
  {
    name: "v2: TLVs are passed over",
    header: v2({
      rest: Buffer.concat([IPV4, tlv(0x02, Buffer.from("a.test")), tlv(0x04, Buffer.alloc(9))]),
    }),
    want: "192.0.2.1",
  },
  {
    name: "v2: 8 KiB of TLVs",
    header: v2({ rest: Buffer.concat([IPV4, tlv(0xe0, Buffer.alloc(8_192))]) }),
    want: "192.0.2.1",
  },
  {
    name: "v2: longer than our limit",
    header: v2({ rest: Buffer.alloc(16_385) }),
    want: "closed",
  },
  {
    name: "v2: too short for its addresses",
    header: v2({ rest: IPV4.subarray(0, 11) }),
    want: "closed",
  },
  { name: "v2: an IPv6 family with IPv4 addresses", header: v2({ family: 0x21 }), want: "closed" },
  { name: "v2: UDP", header: v2({ family: 0x12 }), want: "closed", envoy: "192.0.2.1" },
  { name: "v2: an unknown family", header: v2({ family: 0x41 }), want: "closed" },
  { name: "v2: another version", header: v2({ command: 0x31 }), want: "closed" },
  { name: "v2: an unknown command", header: v2({ command: 0x22 }), want: "closed" },
  {
    name: "v2: a signature with a fault at its end",
    header: Buffer.concat([SIGNATURE.subarray(0, 11), Buffer.from("\r!\x11\0\x0c"), IPV4]),
    want: "closed",
  },
  { name: "no header", header: Buffer.alloc(0), want: "closed" },
  { name: "only an empty line", header: Buffer.from("\r\n"), want: "closed" },
];
