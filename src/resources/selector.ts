//! Label selectors: equality as in Services, and the language of `-l`.

import { FORMATS } from "./formats.ts";

type Labels = Readonly<Record<string, string>>;

/** True when `labels` carries every label of `selector`. An empty selector matches everything. */
export function matchesLabels(selector: Labels, labels: Labels | undefined): boolean {
  for (const [key, value] of Object.entries(selector)) {
    if (labels === undefined || !Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return true;
}

/** One condition of a label selector; conditions are joined by AND. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: "in" | "notin" | "exists" | "absent";
  readonly values: readonly string[];
}

export type ParsedSelector =
  | { readonly kind: "requirements"; readonly requirements: readonly LabelRequirement[] }
  | { readonly kind: "fault"; readonly message: string };

const SET = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/;
const EQUALITY = /^([^=!\s]+)\s*(==|!=|=)\s*(\S*)$/;
const REQUIREMENTS_MAX = 100;

/**
 * Parses kubectl's selector text: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Text of whitespace only
 * matches everything.
 */
export function parseLabelSelector(text: string): ParsedSelector {
  if (text.trim() === "") return { kind: "requirements", requirements: [] };
  const requirements: LabelRequirement[] = [];
  // A comma inside parentheses separates values, not conditions.
  const parts = text.split(/,(?![^()]*\))/);
  if (parts.length > REQUIREMENTS_MAX) {
    return { kind: "fault", message: `a selector may have ${REQUIREMENTS_MAX} conditions` };
  }
  for (const part of parts) {
    const requirement = parseRequirement(part.trim());
    if (requirement === null || !isValid(requirement)) {
      const example = "for example app=mocka,version in (v1,v2),!canary";
      return { kind: "fault", message: `cannot read ${JSON.stringify(part)}; write ${example}` };
    }
    requirements.push(requirement);
  }
  return { kind: "requirements", requirements };
}

/** True when all the requirements hold for `labels`. A missing key satisfies `!=` and `notin`. */
export function matchesRequirements(
  requirements: readonly LabelRequirement[],
  labels: Labels | undefined,
): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case "in":
        return value !== undefined && values.includes(value);
      case "notin":
        return value === undefined || !values.includes(value);
      case "exists":
        return value !== undefined;
      case "absent":
        return value === undefined;
    }
  });
}

function parseRequirement(part: string): LabelRequirement | null {
  const set = SET.exec(part);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return { key, operator: operator === "in" ? "in" : "notin", values };
  }
  const equality = EQUALITY.exec(part);
  if (equality !== null) {
    const [, key = "", operator, value = ""] = equality;
    return { key, operator: operator === "!=" ? "notin" : "in", values: [value] };
  }
  if (part.startsWith("!")) return { key: part.slice(1).trim(), operator: "absent", values: [] };
  return { key: part, operator: "exists", values: [] };
}

function isValid(requirement: LabelRequirement): boolean {
  const isKey = FORMATS["label-key"]?.accepts;
  const isValue = FORMATS["label-value"]?.accepts;
  if (isKey === undefined || isValue === undefined) return false;
  return isKey(requirement.key) && requirement.values.every(isValue);
}
