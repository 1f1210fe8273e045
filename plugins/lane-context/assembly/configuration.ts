//! What is done with the contexts of lanes: see `plugin.yaml`.

import { listOf, textOf, wholeOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonKind, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const LIST_MAX: i32 = 1000;

export enum Step {
  find,
  carry,
  write,
  remove,
  tell,
}

export class Group {
  readonly routeHeader: Utf8;
  readonly header: Utf8;

  constructor(
    public step: Step,
    routeName: string,
    public member: string,
    /** Of `find` and `tell`. */
    headerName: string,
    /** Of `write`. */
    public tag: string,
    /** Tags that have a comma. */
    public tags: string[],
  ) {
    this.routeHeader = new Utf8(routeName);
    this.header = new Utf8(headerName);
  }
}

export class Settings {
  /** Members that are taken away first. */
  removedMembers: string[] = [];
  groups: Group[] = [];
  /** Marks requests that leave the mesh; null: none do here. */
  outside: Utf8 | null = null;
  /** Of all groups. */
  members: string[] = [];
}

export function readSettings(text: string, errors: string[]): Settings {
  const settings = new Settings();
  const whole = wholeOf(text, errors);
  if (whole === null) return settings;
  settings.removedMembers = textsOf(whole, "removedMembers", errors);
  const outside = optionalText(whole, "outside");
  if (outside != "") settings.outside = new Utf8(outside);
  const list = listOf(whole, "groups", LIST_MAX, errors);
  for (let index = 0; index < list.length; index++) {
    const group = groupOf(list[index], errors);
    settings.groups.push(group);
    settings.members.push(group.member);
  }
  return settings;
}

function groupOf(value: JsonValue, errors: string[]): Group {
  const step = stepOf(textOf(value, "step", errors), errors);
  const usesHeader = step == Step.find || step == Step.tell;
  return new Group(
    step,
    textOf(value, "routeHeader", errors),
    textOf(value, "member", errors),
    usesHeader ? textOf(value, "header", errors) : "",
    step == Step.write ? textOf(value, "tag", errors) : "",
    textsOf(value, "tags", errors),
  );
}

function stepOf(word: string, errors: string[]): Step {
  if (word == "find") return Step.find;
  if (word == "carry") return Step.carry;
  if (word == "write") return Step.write;
  if (word == "remove") return Step.remove;
  if (word != "tell") errors.push("step must be find, carry, write, remove or tell");
  return Step.tell;
}

/** A list that may be absent. */
function textsOf(value: JsonValue, name: string, errors: string[]): string[] {
  const texts: string[] = [];
  if (value.get(name) === null) return texts;
  const list = listOf(value, name, LIST_MAX, errors);
  for (let index = 0; index < list.length; index++) {
    if (list[index].kind == JsonKind.string) texts.push(list[index].string);
    else errors.push(name + " must be a list of texts");
  }
  return texts;
}

function optionalText(value: JsonValue, name: string): string {
  const field = value.get(name);
  return field !== null && field.kind == JsonKind.string ? field.string : "";
}
