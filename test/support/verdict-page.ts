//! The table of verdicts of several proxies, side by side.

/** One proxy's verdict on one case. */
export interface Judged {
  readonly words: string;
  readonly isRight: boolean;
}

export interface JudgedCase {
  readonly clause: string;
  readonly name: string;
  readonly must: "refuse" | number;
  /** In the order of the proxies; null where it cannot be asked. */
  readonly verdicts: readonly (Judged | null)[];
}

function cell(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, "·")
    .replaceAll("|", "\\|")
    .replaceAll("`", "'");
}

/** The rows of a table: how many of the cases each proxy has right. */
export function sumsOf(names: readonly string[], cases: readonly JudgedCase[]): string[] {
  const sums = (isRefusal: boolean): string =>
    names
      .map((_name, at) => {
        const asked = cases
          .filter(({ must }) => isRefusal === (must === "refuse"))
          .flatMap(({ verdicts }) => verdicts[at] ?? []);
        return `${asked.filter(({ isRight }) => isRight).length} of ${asked.length}`;
      })
      .join(" | ");
  return [
    `| | ${names.join(" | ")} |`,
    `|---|${names.map(() => "---|").join("")}`,
    `| must be refused, and was | ${sums(true)} |`,
    `| must be served, and was | ${sums(false)} |`,
  ];
}

/** The rows of a table: every case. */
export function rowsOf(names: readonly string[], cases: readonly JudgedCase[]): string[] {
  const rows = cases.map(({ clause, name, must, verdicts }) => {
    const cells = verdicts.map((verdict) => {
      if (verdict === null) return "";
      return verdict.isRight ? verdict.words : `**${verdict.words}**`;
    });
    const word = must === "refuse" ? "refuse" : `serve ${must}`;
    return `| ${clause} | ${cell(name)} | ${word} | ${cells.join(" | ")} |`;
  });
  return [
    `| Clause | Case | Must | ${names.join(" | ")} |`,
    `|---|---|---|${names.map(() => "---|").join("")}`,
    ...rows,
  ];
}

/** What our gateway, the first of the proxies, does otherwise than it must. */
export function wrongOf(cases: readonly JudgedCase[]): string[] {
  return cases
    .filter(({ verdicts }) => verdicts[0]?.isRight !== true)
    .map(({ clause, name }) => `${clause}: ${name}`);
}
