//! Cuts a stream of text pieces into lines.

/** A longer line is handed on in parts. */
const LINE_CHARS_MAX = 65_536;

/** Lines without their ends; the last one also when it has none. */
export async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > LINE_CHARS_MAX) {
      yield rest;
      rest = "";
    }
  }
  if (rest !== "") yield rest;
}
