//! The names of functions as their authors wrote them: Rust's compiler writes paths as
//! `_ZN5alloc3vec4push17h0123456789abcdefE` (its "legacy" mangling, which is the default).

const MANGLED = /^_ZN(\d.*)E$/;
/** A guest names its functions as it likes: longer ones are left as they are. */
const NAME_MAX = 2_000;
const HASH = /^h[0-9a-f]{16}$/;
const ESCAPE = /\$([A-Z]{1,2}|u[0-9a-f]{1,6})\$/g;
const SIGNS: Readonly<Record<string, string>> = {
  ...{ SP: "@", BP: "*", RF: "&", LT: "<", GT: ">", LP: "(", RP: ")", C: "," },
};
const CODE_POINT_MAX = 0x10_ffff;

/** A name that is not mangled is returned as it is. */
export function readableName(name: string): string {
  if (name.length > NAME_MAX) return name;
  const parts = partsOf(MANGLED.exec(name)?.[1] ?? "");
  if (parts === null || parts.length === 0) return name;
  if (HASH.test(parts.at(-1) ?? "")) parts.pop();
  return parts.map(plain).join("::");
}

/** `4once3fmt` in its parts; null: it is not made of them. */
function partsOf(text: string): string[] | null {
  const parts: string[] = [];
  let at = 0;
  while (at < text.length) {
    const digits = /^\d{1,4}/.exec(text.slice(at, at + 4))?.[0] ?? "";
    const start = at + digits.length;
    at = start + Number(digits);
    if (digits === "" || at === start || at > text.length) return null;
    parts.push(text.slice(start, at));
  }
  return parts;
}

function plain(part: string): string {
  return part
    .replace(/^_(?=\$)/, "")
    .replaceAll("..", "::")
    .replaceAll(ESCAPE, (whole, code: string) => {
      const point = code.startsWith("u") ? parseInt(code.slice(1), 16) : CODE_POINT_MAX + 1;
      return SIGNS[code] ?? (point > CODE_POINT_MAX ? whole : String.fromCodePoint(point));
    });
}
