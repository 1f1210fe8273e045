//! Reads the configuration. All mistakes are found at once, each with the path of its field.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const CONDITIONS_MAX: i32 = 1000;
const MODULO_DEFAULT: f64 = 100;
const MODULO_MAX: f64 = 1000000;

export class Condition {
  constructor(
    public header: Utf8,
    public value: Utf8,
  ) {}
}

export class Configuration {
  isEnabled: bool = false;
  header: Utf8 = new Utf8("");
  /** Buckets up to and with this one are in the canary. */
  ratio: u32 = 0;
  modulo: u32 = <u32>MODULO_DEFAULT;
  anyOf: Condition[] = [];
}

export function readConfiguration(text: string, errors: string[]): Configuration {
  const result = new Configuration();
  const parser = new JsonParser(text == "" ? "{}" : text);
  const whole = parser.parse();
  if (whole === null) {
    errors.push("the configuration is not JSON: " + parser.error);
    return result;
  }
  if (whole.kind != JsonKind.object) {
    errors.push("the configuration must be an object");
    return result;
  }
  const isEnabled = whole.get("paramsRandomEnable");
  if (isEnabled !== null) {
    if (isEnabled.kind != JsonKind.boolean) {
      errors.push("paramsRandomEnable must be true or false");
    } else result.isEnabled = isEnabled.boolean;
  }
  if (result.isEnabled) {
    result.modulo = <u32>numberField(whole, "paramsModulo", MODULO_DEFAULT, errors);
    if (result.modulo == 0) errors.push("paramsModulo must be at least 1");
    result.ratio = <u32>numberField(whole, "paramsPercentageRatio", -1, errors);
    result.header = new Utf8(textField(whole, "", "paramsRandomHeaderKey", errors));
  }
  readConditions(whole, result.anyOf, errors);
  return result;
}

function readConditions(whole: JsonValue, into: Condition[], errors: string[]): void {
  const list = whole.get("anyOf");
  if (list === null) return;
  if (list.kind != JsonKind.array || list.items.length > CONDITIONS_MAX) {
    errors.push("anyOf must be a list of at most " + CONDITIONS_MAX.toString() + " conditions");
    return;
  }
  for (let index = 0; index < list.items.length; index++) {
    const path = "anyOf[" + index.toString() + "].";
    const header = textField(list.items[index], path, "header", errors);
    const value = textField(list.items[index], path, "value", errors);
    into.push(new Condition(new Utf8(header), new Utf8(value)));
  }
}

/** `missing` stands for a field that is not there; a negative one means that it must be. */
function numberField(value: JsonValue, name: string, missing: f64, errors: string[]): f64 {
  const field = value.get(name);
  if (field === null && missing >= 0) return missing;
  if (field !== null && field.kind == JsonKind.number) {
    const number = field.number;
    if (number >= 0 && number <= MODULO_MAX && number == Math.floor(number)) return number;
  }
  errors.push(name + " must be a whole number from 0 to 1000000");
  return 0;
}

function textField(value: JsonValue, path: string, name: string, errors: string[]): string {
  const field = value.get(name);
  if (field !== null && field.kind == JsonKind.string && field.string != "") return field.string;
  errors.push(path + name + " must be a text that is not empty");
  return "";
}
