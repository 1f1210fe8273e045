//! The lane of a request in its headers, as `src/lane/context.ts` and
//! `src/dataplane/filter/lane-context.ts` have it.

import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { memberOf, meansText, setMember, unescaped, withoutMembers } from "./baggage";
import { Group } from "./configuration";
import { fieldOf, listField, removeField, setField } from "./field-text";

const BAGGAGE = new Utf8("baggage");
const BAGGAGE_PROPERTY = new Utf8("request\0headers\0baggage");

/** The tag that a request carries; null: none. */
export function contextTag(group: Group): string | null {
  const told = fieldOf(group.routeHeader);
  if (told !== null && told != "") {
    return group.tags.includes(told) ? told : firstOf(told);
  }
  const field = listField(BAGGAGE, BAGGAGE_PROPERTY);
  if (field === null) return null;
  const value = memberOf(field, group.member);
  if (value === null) return null;
  const tag = unescaped(value);
  return mayBeTag(tag) ? tag : null;
}

/** How many members of others were left out. */
export function writeContext(group: Group, tag: string): i32 {
  setField(group.routeHeader, tag);
  return writeMember(group, tag);
}

export function writeMember(group: Group, tag: string): i32 {
  const found = listField(BAGGAGE, BAGGAGE_PROPERTY);
  const before: string = found === null ? "" : found;
  const value = memberOf(before, group.member);
  if (value !== null && meansText(value, tag)) return 0;
  const edit = setMember(before, group.member, tag);
  setField(BAGGAGE, edit.field);
  return edit.droppedCount;
}

export function removeContext(group: Group): void {
  removeField(group.routeHeader);
  removeMembers([group.member]);
}

/** Without any left the header goes. */
export function removeMembers(members: string[]): void {
  if (members.length == 0) return;
  const before = listField(BAGGAGE, BAGGAGE_PROPERTY);
  if (before === null) return;
  const after = withoutMembers(before, members);
  if (after == before) return;
  if (after == "") removeField(BAGGAGE);
  else setField(BAGGAGE, after);
}

function firstOf(text: string): string {
  const comma = text.indexOf(",");
  return comma == -1 ? text : text.substring(0, comma).trim();
}

/** Printable ASCII without spaces at its ends. */
function mayBeTag(text: string): bool {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return text != "" && text.charCodeAt(0) != 0x20 && text.charCodeAt(text.length - 1) != 0x20;
}
