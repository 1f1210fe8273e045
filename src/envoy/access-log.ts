//! `access_log` of a connection manager or a TCP proxy: where lines go, and how they look.

import type { Cursor } from "../resources/cursor.ts";
import { compileLogFormat } from "../telemetry/log-format.ts";
import { readDataSource, unsupported, unwrap } from "./common.ts";

export interface AccessLogSettings {
  /** A file, `-` for standard output, `""` for nowhere. */
  readonly path: string;
  /** As `compileLogFormat` takes it. */
  readonly format: string;
}

export const NO_ACCESS_LOG: AccessLogSettings = { path: "", format: "" };

const LOGGER = /^envoy\.extensions\.access_loggers\.(file|stream)\.v3\./;
/** The name of Envoy's own format, for who gives none. */
const FORMAT_DEFAULT = "envoy";
const FORMATS = ["log_format", "format", "json_format"];

export function readAccessLog(cursor: Cursor): AccessLogSettings {
  let settings = NO_ACCESS_LOG;
  for (const item of cursor.items()) {
    if (!item.isMap(["name", "typed_config"])) continue;
    const { type, config, fields } = unwrap(item.at("typed_config"));
    const parts = LOGGER.exec(type);
    if (parts === null) unsupported(item, `the access logger ${type}`);
    else if (!config.isMap([...fields, "path", ...FORMATS])) continue;
    else if (type.endsWith(".StderrAccessLog")) unsupported(item, "an access log on stderr");
    else {
      const path = parts[1] === "file" ? config.at("path").text(null) : "-";
      settings = { path: path === "/dev/stdout" ? "-" : path, format: readFormat(config) };
    }
  }
  return settings;
}

/** `format` and `json_format` beside `path` are the form of files of before 2021. */
function readFormat(config: Cursor): string {
  const given = FORMATS.map((name) => config.at(name)).filter(({ isAbsent }) => !isAbsent);
  const [first, second] = given;
  if (first === undefined) return FORMAT_DEFAULT;
  if (second !== undefined) second.wrong("left out: there is another format already");
  const outer = config.at("log_format");
  if (outer.isAbsent) {
    const text = config.at("format");
    return checked(first, text.isAbsent ? JSON.stringify(first.value) : text.text());
  }
  const known = ["text_format", "text_format_source", "json_format", "omit_empty_values"];
  if (!outer.isMap(known)) return FORMAT_DEFAULT;
  if (outer.at("omit_empty_values").flag(false)) {
    unsupported(outer.at("omit_empty_values"), "leaving empty values out");
  }
  const json = outer.at("json_format");
  if (!json.isAbsent) return checked(json, JSON.stringify(json.value));
  const source = outer.at("text_format_source");
  if (!source.isAbsent) return checked(source, readDataSource(source));
  return checked(outer.at("text_format"), outer.at("text_format").text(null));
}

function checked(cursor: Cursor, format: string): string {
  const compiled = compileLogFormat(format);
  if (typeof compiled === "string") unsupported(cursor, `this format: ${compiled}:`);
  return format;
}
