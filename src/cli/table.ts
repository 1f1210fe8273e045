//! Tables as kubectl prints them: no borders, columns padded, three spaces between.

const GAP = 3;

/** Lines of a table, each with its line end; trailing blanks are cut. */
export function formatTable(
  header: readonly string[] | null,
  rows: readonly (readonly string[])[],
): string {
  const lines = header === null ? rows : [header, ...rows];
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  return lines.map((line) => `${formatLine(line, widths)}\n`).join("");
}

function formatLine(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP))
    .join("")
    .trimEnd();
}
