//! The text of docs/errors.md, made from the table of codes.

import { CODES } from "./codes.ts";
import type { CodeInfo } from "./codes.ts";

const RANGES: readonly { readonly prefix: string; readonly title: string }[] = [
  { prefix: "GL00", title: "Files and YAML" },
  { prefix: "GL01", title: "Fields of an object" },
  { prefix: "GL02", title: "References between objects" },
  { prefix: "GL03", title: "Lanes" },
  { prefix: "GL04", title: "Plug-ins" },
  { prefix: "GL05", title: "Local cluster" },
  { prefix: "GL06", title: "Command line, server and ports" },
  { prefix: "GL07", title: "Real Envoys" },
];

const HEAD = `<!-- Made from the table of codes by scripts/docs-errors.mjs: change the table. -->

# Messages and their codes

Every message about configuration carries a stable code. It looks like this:

\`\`\`text
vs.yaml:17:15: error GL0103: spec.http[0].route[0].weight must be a whole number, is "10"
  fix: Remove the quotation marks.
\`\`\`

The place is \`file:line:column\`. An **error** refuses the object (or, between objects, leads to
the behaviour that its section names); a **warning** lets it in but says what will not happen as
written; an **info** needs no action.
`;

/** The whole page, with a section for every code. */
export function errorsPage(): string {
  const parts = RANGES.map(({ prefix, title }) => {
    const codes = Object.entries(CODES)
      .filter(([code]) => code.startsWith(prefix))
      .sort(([left], [right]) => (left < right ? -1 : 1));
    return codes.length === 0 ? "" : `\n## ${title}\n${codes.map(section).join("")}`;
  });
  return HEAD + parts.join("");
}

function section([code, info]: readonly [string, CodeInfo]): string {
  return `\n### ${code}: ${info.title}\n\n*${info.severity}.* ${info.help}\n`;
}
