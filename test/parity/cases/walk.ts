//! Requests through all three services, and what lanes make of them.

import type { ParityCase, Want } from "../case.ts";
import type { Question } from "../question.ts";
import { LANE_HEADER } from "../topology.ts";

export type Fields = NonNullable<Question["headers"]>;
const CHAIN = ["x-hops", "b:8000,c:8000"] as const;

/** A request through all three services. */
export function walk(name: string, headers: Fields, want: Want, path = "/"): ParityCase {
  return { name, ask: { path, headers: [...headers, CHAIN] }, want };
}

export const go = (name: string): Fields => [["x-go", name]];
export const context = (tag: string): Fields => [[LANE_HEADER, tag]];
export const BASE: Want = { hops: "a-base b-base c-base", lanes: "- - -" };
export const GRAY: Want = { hops: "a-gray b-gray c-base", lanes: "gray gray gray" };
export const BLUE: Want = { hops: "a-blue b-base c-blue", lanes: "blue blue blue" };
