//! "Did you mean": the known word nearest to a misspelt one, and where a misplaced one belongs.

import type { TSchema } from "typebox";

const WORD_LENGTH_MAX = 64;

/** The candidate nearest to `word`, or null when none is near enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  if (word.length > WORD_LENGTH_MAX) return null;
  const allowed = Math.max(1, Math.floor(word.length / 3));
  let best: string | null = null;
  let bestDistance = allowed + 1;
  for (const candidate of candidates) {
    if (candidate.length > WORD_LENGTH_MAX) continue;
    const distance = editDistance(plain(word), plain(candidate));
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

interface Searchable {
  readonly properties?: Readonly<Record<string, Searchable>>;
  readonly additionalProperties?: Searchable;
  readonly items?: Searchable;
}

/** Every place of the schema with a field of that name, e.g. `spec.http[].timeout`. */
export function fieldPlaces(schema: TSchema, name: string): string[] {
  const places: string[] = [];
  collectPlaces(schema, "", (place, field) => {
    if (field === name) places.push(place);
  });
  return places;
}

function collectPlaces(
  schema: Searchable,
  place: string,
  visit: (place: string, field: string) => void,
): void {
  for (const [field, inner] of Object.entries(schema.properties ?? {})) {
    const innerPlace = place === "" ? field : `${place}.${field}`;
    visit(innerPlace, field);
    collectPlaces(inner, innerPlace, visit);
  }
  if (schema.items !== undefined) collectPlaces(schema.items, `${place}[]`, visit);
  if (schema.additionalProperties !== undefined) {
    collectPlaces(schema.additionalProperties, `${place}.*`, visit);
  }
}

/** Case and separators are the commonest slips; they cost nothing. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, "");
}

/** Optimal string alignment: insertions, deletions, changes and swaps of neighbours. */
function editDistance(left: string, right: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: right.length + 1 }, (_each, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1];
      const edit = Math.min(cell(last, column), cell(current, column - 1)) + 1;
      const change = cell(last, column - 1) + (isSame ? 0 : 1);
      const isSwap = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      const swap = isSwap ? cell(beforeLast, column - 2) + 1 : Infinity;
      current.push(Math.min(edit, change, swap));
    }
    beforeLast = last;
    last = current;
  }
  return cell(last, right.length);
}

function cell(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
