//! The clock of our own tests.

export { VirtualClock as FakeClock } from "./virtual-clock.ts";
