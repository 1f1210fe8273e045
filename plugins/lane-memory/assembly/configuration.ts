//! `{"side": "inbound"|"outbound", "groups": [{"name", "routeHeader", "traceHeader"}]}`.

import { listOf, textOf, wholeOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonValue } from "../../../sdk/assemblyscript/assembly/json";
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
  const whole = wholeOf(text, errors);
  if (whole === null) return settings;
  const side = textOf(whole, "side", errors);
  settings.isInbound = side == "inbound";
  if (side != "inbound" && side != "outbound") errors.push("side must be inbound or outbound");
  const list = listOf(whole, "groups", GROUPS_MAX, errors);
  for (let index = 0; index < list.length; index++) {
    settings.groups.push(groupOf(list[index], errors));
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
