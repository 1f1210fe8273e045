//! `stats_config`: labels that are read out of the names of metrics.

import type { Cursor } from "../resources/cursor.ts";
import { compileStatTag } from "../telemetry/stat-tags.ts";
import type { StatTag } from "../telemetry/stat-tags.ts";
import { unsupported } from "./common.ts";

const TAGS_MAX = 100;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_.]*$/;

export function readStatTags(cursor: Cursor): readonly StatTag[] {
  if (cursor.isAbsent || !cursor.isMap(["stats_tags", "use_all_default_tags"])) return [];
  const defaults = cursor.at("use_all_default_tags");
  if (!defaults.flag(true)) unsupported(defaults, "leaving out Envoy's own labels");
  const items = cursor.at("stats_tags").items();
  if (items.length > TAGS_MAX) cursor.at("stats_tags").wrong(`a list of at most ${TAGS_MAX}`);
  return items.slice(0, TAGS_MAX).flatMap((item) => readTag(item) ?? []);
}

function readTag(item: Cursor): StatTag | null {
  if (!item.isMap(["tag_name", "regex", "fixed_value"])) return null;
  const name = item.at("tag_name");
  const label = name.text(null);
  if (!LABEL_NAME.test(label)) name.wrong("a name of letters, digits, _ and .");
  const fixed = item.at("fixed_value");
  const regex = item.at("regex");
  if (!fixed.isAbsent) {
    if (!regex.isAbsent) fixed.wrong("left out beside regex");
    return { label, value: fixed.text() };
  }
  const tag = compileStatTag(label, regex.text(null));
  if (typeof tag !== "string") return tag;
  regex.wrong(`a regular expression with one or two groups: ${tag}`);
  return null;
}
