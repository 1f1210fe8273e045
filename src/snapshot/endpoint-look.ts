/** How often agents look for another list of endpoints: what is told to them counts after it. */
export const ENDPOINT_LOOK_MS = 500;
