//! A flame graph as an SVG that needs nothing but a browser: a frame's width is its share of time.

import type { StackNode } from "./cpu-stacks.ts";

const WIDTH = 1_200;
const ROW = 18;
const CHAR_WIDTH = 6.6;
/** Frames that would be narrower are left out. */
const FRAME_WIDTH_MIN = 0.4;
const FRAMES_MAX = 20_000;

export function flameGraph(root: StackNode, title: string): string {
  const frames: string[] = [];
  let deepest = 0;
  const walk = (node: StackNode, left: number, depth: number): void => {
    const width = (node.totalUs / root.totalUs) * WIDTH;
    if (!(width >= FRAME_WIDTH_MIN) || frames.length >= FRAMES_MAX) return;
    deepest = Math.max(deepest, depth);
    frames.push(frame(node, { left, width, depth }, root.totalUs));
    let childLeft = left;
    const children = [...node.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      walk(child, childLeft, depth + 1);
      childLeft += (child.totalUs / root.totalUs) * WIDTH;
    }
  };
  if (root.totalUs > 0) walk(root, 0, 0);
  const height = (deepest + 3) * ROW;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"`,
    ` viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">\n`,
    `<text x="4" y="14">${escaped(title)}</text>\n`,
    ...frames,
    "</svg>\n",
  ].join("");
}

interface Place {
  readonly left: number;
  readonly width: number;
  readonly depth: number;
}

function frame({ name, totalUs }: StackNode, place: Place, allUs: number): string {
  const { left, width, depth } = place;
  const y = (depth + 1) * ROW + 4;
  const share = `${((totalUs / allUs) * 100).toFixed(1)} %, ${(totalUs / 1_000).toFixed(1)} ms`;
  const shown = name.slice(0, Math.max(0, Math.floor((width - 6) / CHAR_WIDTH)));
  const text =
    shown.length < 3
      ? ""
      : `<text x="${(left + 3).toFixed(1)}" y="${y + 12}">${escaped(shown)}</text>`;
  return (
    `<g><title>${escaped(`${name} (${share})`)}</title>` +
    `<rect x="${left.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" ` +
    `fill="${colourOf(name)}" rx="1"/>${text}</g>\n`
  );
}

/** Host calls are blue; of the guest's functions each has its own warm colour. */
function colourOf(name: string): string {
  if (name.startsWith("host: ")) return "hsl(205, 60%, 75%)";
  let sum = 0;
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 60;
  return `hsl(${sum}, 75%, 68%)`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replace(/[^\t\n\x20-\ud7ff\ue000-\ufffd]/g, "?");
}
