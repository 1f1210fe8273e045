//! What every plug-in must export. In your entry file:
//! `export { graylane_on_explain, malloc, proxy_abi_version_0_2_1 } from "…/exports";`

// Compiled in by name, as AssemblyScript's abort: the compiler must have come across it.
import "./log";

export { graylane_on_explain } from "./explain";
export { malloc } from "./received";

/** Never called: its name tells the host which ABI this module speaks. */
export function proxy_abi_version_0_2_1(): void {}
