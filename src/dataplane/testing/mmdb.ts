//! Writes small databases in the MaxMind DB format 2.0, for tests.

const POINTER_BYTES = 3;
const SEPARATOR_BYTES = 16;
const BITS = 32;

type Value = string | number | { readonly [key: string]: Value };

/** A database in which each network (`10.1.0.0/16`) has its record. */
export function mmdb(records: Readonly<Record<string, Value>>): Buffer {
  const nodes: (number | null)[][] = [[null, null]];
  const data: Buffer[] = [];
  let dataBytes = 0;
  const leaves: { readonly node: number; readonly bit: number; readonly offset: number }[] = [];
  for (const [network, value] of Object.entries(records)) {
    const [address = "", length = ""] = network.split("/");
    const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    let node = 0;
    for (let depth = 0; depth < Number(length); depth += 1) {
      const bit = Math.floor(number / 2 ** (BITS - 1 - depth)) % 2;
      if (depth === Number(length) - 1) leaves.push({ node, bit, offset: dataBytes });
      else {
        const next = nodes[node]?.[bit] ?? nodes.push([null, null]) - 1;
        (nodes[node] as (number | null)[])[bit] = next;
        node = next;
      }
    }
    const bytes = encode(value);
    data.push(bytes);
    dataBytes += bytes.length;
  }
  const tree = Buffer.alloc(nodes.length * 2 * POINTER_BYTES);
  nodes.forEach((pair, node) => {
    pair.forEach((next, bit) => {
      const leaf = leaves.find((each) => each.node === node && each.bit === bit);
      const value =
        leaf === undefined ? (next ?? nodes.length) : nodes.length + SEPARATOR_BYTES + leaf.offset;
      tree.writeUIntBE(value, (node * 2 + bit) * POINTER_BYTES, POINTER_BYTES);
    });
  });
  const metadata = encode({
    node_count: nodes.length,
    record_size: POINTER_BYTES * 8,
    ip_version: 4,
    database_type: "Test",
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1,
  });
  const marker = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
  return Buffer.concat([tree, Buffer.alloc(SEPARATOR_BYTES), ...data, marker, metadata]);
}

/** Strings (type 2), 32-bit numbers (6) and maps (7), each shorter than 285 bytes or entries. */
function encode(value: Value): Buffer {
  if (typeof value === "string") {
    const text = Buffer.from(value);
    return Buffer.concat([control(2, text.length), text]);
  }
  if (typeof value === "number") {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(value);
    return Buffer.concat([control(6, number.length), number]);
  }
  const members = Object.entries(value).flatMap(([key, member]) => [encode(key), encode(member)]);
  return Buffer.concat([control(7, members.length / 2), ...members]);
}

function control(type: number, size: number): Buffer {
  return size < 29 ? Buffer.from([(type << 5) | size]) : Buffer.from([(type << 5) | 29, size - 29]);
}
