//! `{"side": "inbound"|"outbound", "groups": [{"name", "routeHeader", "traceHeader"}]}`.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const GROUPS_MAX: i32 = 1000;

export class Group {
  traceHeader: Utf8;
  routeHeader: Utf8;

  constructor(
    /** Each has a table of its own. */
    public name: string,
    public traceName: string,
    routeName: string,
  ) {
    this.traceHeader = new Utf8(traceName);
    this.routeHeader = new Utf8(routeName);
  }
}

export class Settings {
  isInbound: bool = false;
  groups: Group[] = [];
}

export function readSettings(text: string, errors: string[]): Settings {
  const settings = new Settings();
  const parser = new JsonParser(text);
  const whole = parser.parse();
  if (whole === null) {
    errors.push("the configuration is not JSON: " + parser.error);
    return settings;
  }
  const side = textOf(whole, "side", errors);
  settings.isInbound = side == "inbound";
  if (side != "inbound" && side != "outbound") errors.push("side must be inbound or outbound");
  const list = whole.get("groups");
  if (list === null || list.kind != JsonKind.array || list.items.length > GROUPS_MAX) {
    errors.push("groups must be a list of at most " + GROUPS_MAX.toString());
    return settings;
  }
  for (let index = 0; index < list.items.length; index++) {
    settings.groups.push(groupOf(list.items[index], errors));
  }
  return settings;
}

function groupOf(value: JsonValue, errors: string[]): Group {
  return new Group(
    textOf(value, "name", errors),
    textOf(value, "traceHeader", errors),
    textOf(value, "routeHeader", errors),
  );
}

function textOf(value: JsonValue, name: string, errors: string[]): string {
  const field = value.get(name);
  if (field !== null && field.kind == JsonKind.string && field.string != "") return field.string;
  errors.push(name + " must be a text");
  return "";
}
