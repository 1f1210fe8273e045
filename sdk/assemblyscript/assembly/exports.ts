//! What every plug-in must export. In your entry file:
//! `export { malloc, proxy_abi_version_0_2_1 } from "…/exports";`

export { malloc } from "./received";

/** Never called: its name tells the host which ABI this module speaks. */
export function proxy_abi_version_0_2_1(): void {}
