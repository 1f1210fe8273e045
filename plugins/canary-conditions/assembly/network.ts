//! IPv4 networks, such as those of a region.

export class Network {
  constructor(
    readonly address: u32,
    readonly mask: u32,
  ) {}
}

/** `203.0.113.0/24` or one address; null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.substring(0, slash));
  const bits = slash < 0 ? 32 : wholeNumber(text.substring(slash + 1));
  if (address < 0 || bits < 0 || bits > 32) return null;
  const mask: u32 = bits == 0 ? 0 : <u32>0xffffffff << (32 - bits);
  return new Network((<u32>address) & mask, mask);
}

export function isInNetwork(text: string, networks: Network[]): bool {
  const address = parseAddress(text);
  if (address < 0) return false;
  for (let index = 0; index < networks.length; index++) {
    if (((<u32>address) & networks[index].mask) == networks[index].address) return true;
  }
  return false;
}

/** Negative when the text is no IPv4 address. */
function parseAddress(text: string): i64 {
  const parts = text.split(".");
  if (parts.length != 4) return -1;
  let address: i64 = 0;
  for (let index = 0; index < 4; index++) {
    const part = wholeNumber(parts[index]);
    if (part < 0 || part > 255) return -1;
    address = address * 256 + part;
  }
  return address;
}

/** Of one to three digits; negative for any other text. */
function wholeNumber(text: string): i32 {
  if (text.length == 0 || text.length > 3) return -1;
  let number = 0;
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}
