// Runs one line of a script: a host function's name and its arguments, separated by blanks.
//
//   5 -5      an i32                     s:text   text as pointer and length; %20 is a blank
//   L7        the i64 of a metric call   p:a=b&c=d  serialised header pairs, pointer and length
//   v         two out addresses, of bytes that the host gives     n  one of a u32   N  one of a u64
//   t         the same of a token, of which is only told whether there is one
//   x         an address outside the memory, as one argument     X  the same as pointer and length
//   cel text  (in the place of a function) makes an expression, evaluates it, and deletes it
//   $1        the number that the script's first `n` has received; $s the stream's id

import { invoke, log } from "./host";

const OUTSIDE: i32 = 0x7fff0000;
/** Out values of earlier lines, by the order in which they came. */
export const received = new Array<i32>();

class Line {
  values: StaticArray<i32> = new StaticArray<i32>(16);
  count: i32 = 0;
  wide: i64 = 0;
  outs: StaticArray<u8> = new StaticArray<u8>(256);
  shapes: string = "";
  /** Keeps what the arguments point at. */
  kept: Array<ArrayBuffer> = new Array<ArrayBuffer>();

  push(value: i32): void {
    this.values[this.count++] = value;
  }

  give(bytes: ArrayBuffer): void {
    this.kept.push(bytes);
    this.push(changetype<i32>(bytes));
    this.push(bytes.byteLength);
  }

  out(shape: string): void {
    const at = changetype<i32>(this.outs) + 16 * this.shapes.length;
    store<u64>(at, 0);
    store<u64>(at + 8, 0);
    this.shapes += shape;
    this.push(at);
    if (shape == "v") this.push(at + 8);
  }

  received(isOk: bool): string {
    let text = "";
    for (let index = 0; index < this.shapes.length; index++) {
      const at = changetype<i32>(this.outs) + 16 * index;
      const shape = this.shapes.charAt(index);
      if (shape == "v") text += " " + show(load<i32>(at), load<i32>(at + 8));
      else if (shape == "n") {
        text += " " + load<u32>(at).toString();
        if (isOk) received.push(load<i32>(at));
      } else if (shape == "t") text += load<u32>(at) == 0 ? " none" : " some";
      else text += " " + load<u64>(at).toString();
    }
    return text;
  }
}

/** Printable text as it is, everything else as hexadecimal. */
export function show(pointer: i32, length: i32): string {
  let isText = true;
  for (let index = 0; index < length; index++) {
    const byte = load<u8>(pointer + index);
    if (byte < 32 || byte > 126) isText = false;
  }
  if (isText) return '"' + String.UTF8.decodeUnsafe(pointer, length) + '"';
  let text = "0x";
  for (let index = 0; index < length; index++) {
    const byte = load<u8>(pointer + index);
    text += "0123456789abcdef".charAt(byte >> 4) + "0123456789abcdef".charAt(byte & 15);
  }
  return text;
}

export function decode(text: string): ArrayBuffer {
  const bytes = new Array<u8>();
  for (let index = 0; index < text.length; index++) {
    if (text.charAt(index) == "%") {
      bytes.push(<u8>parseInt(text.substr(index + 1, 2), 16));
      index += 2;
    } else bytes.push(<u8>text.charCodeAt(index));
  }
  const buffer = new ArrayBuffer(bytes.length);
  for (let index = 0; index < bytes.length; index++) store<u8>(changetype<i32>(buffer) + index, bytes[index]);
  return buffer;
}

function pairs(text: string): ArrayBuffer {
  const list = text.length == 0 ? new Array<string>() : text.split("&");
  const parts = new Array<ArrayBuffer>();
  let size = 4;
  for (let index = 0; index < list.length; index++) {
    const at = list[index].indexOf("=");
    const name = decode(list[index].substring(0, at));
    const value = decode(list[index].substring(at + 1));
    parts.push(name);
    parts.push(value);
    size += 8 + name.byteLength + value.byteLength + 2;
  }
  const buffer = new ArrayBuffer(size);
  const start = changetype<i32>(buffer);
  store<i32>(start, list.length);
  let at = start + 4 + 8 * list.length;
  for (let index = 0; index < parts.length; index++) {
    store<i32>(start + 4 + 4 * index, parts[index].byteLength);
    memory.copy(at, changetype<i32>(parts[index]), parts[index].byteLength);
    at += parts[index].byteLength + 1;
  }
  return buffer;
}

/** Calls a foreign function; the line has what came back. */
function foreign(line: Line, name: string, argument: ArrayBuffer): i32 {
  line.give(String.UTF8.encode(name));
  line.give(argument);
  line.out("v");
  return invoke("call_foreign_function", line.values, 0);
}

/** Logs an expression with the status of its evaluation (or creation) and its value. */
function evaluate(prefix: string, text: string): void {
  const made = new Line();
  let status = foreign(made, "expr_create", String.UTF8.encode(text));
  let value = "";
  if (status == 0) {
    const token = new ArrayBuffer(4);
    const outs = changetype<i32>(made.outs);
    memory.copy(changetype<i32>(token), load<i32>(outs), 4);
    const evaluated = new Line();
    status = foreign(evaluated, "expr_evaluate", token);
    if (status == 0) value = evaluated.received(false);
    foreign(new Line(), "expr_delete", token);
  }
  log(prefix + " cel " + text + " = " + status.toString() + value);
}

/** Runs the line and logs it with its status and what came back. */
export function run(prefix: string, text: string, stream: i32): void {
  if (text.startsWith("cel ")) {
    evaluate(prefix, text.substring(4));
    return;
  }
  const words = text.split(" ");
  const line = new Line();
  for (let index = 1; index < words.length; index++) {
    const word = words[index];
    if (word.startsWith("s:")) line.give(decode(word.substring(2)));
    else if (word.startsWith("p:")) line.give(pairs(word.substring(2)));
    else if (word.startsWith("L")) line.wide = I64.parseInt(word.substring(1));
    else if (word == "v" || word == "n" || word == "N" || word == "t") line.out(word);
    else if (word == "x") line.push(OUTSIDE);
    else if (word == "X") {
      line.push(OUTSIDE);
      line.push(16);
    } else if (word == "$s") line.push(stream);
    else if (word.startsWith("$")) line.push(received[<i32>parseInt(word.substring(1)) - 1]);
    else line.push(<i32>parseInt(word));
  }
  const status = invoke(words[0], line.values, line.wide);
  // The time itself is not compared.
  const outs = words[0] == "get_current_time_nanoseconds" ? "" : line.received(status == 0);
  log(prefix + " " + text + " = " + status.toString() + (status == 0 ? outs : ""));
}
