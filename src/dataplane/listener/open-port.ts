//! Which port of this machine is opened for the port that a Gateway resource names.

/** Unprivileged users cannot listen below 1024: such ports are moved up, 80 to 8080. */
const PRIVILEGED_PORT_MAX = 1_023;
const PRIVILEGED_PORT_OFFSET = 8_000;

/** `portMap` has decimal port numbers as keys. */
export function openPortOf(port: number, portMap: Readonly<Record<string, number>>): number {
  const mapped = portMap[String(port)];
  if (mapped !== undefined) return mapped;
  return port > PRIVILEGED_PORT_MAX ? port : port + PRIVILEGED_PORT_OFFSET;
}
