//! The plug-in's configuration: readable in `proxy_on_configure` only.

import { proxy_get_buffer_bytes } from "./abi";
import { BufferKind, Status } from "./enums";
import { outLength, outPointer, receivedText } from "./received";

/** The configuration as UTF-8 text; `""` when there is none. `size` is the callback's parameter. */
export function configurationText(size: usize): string {
  const status = proxy_get_buffer_bytes(
    BufferKind.pluginConfiguration,
    0,
    size,
    outPointer(),
    outLength(),
  );
  return status == Status.ok ? receivedText() : "";
}
