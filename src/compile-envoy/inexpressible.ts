//! What a rule asks that cannot be said in the words at hand. The message completes "Envoy cannot
//! enter the lane by …".

export class Inexpressible extends Error {
  override readonly name = "Inexpressible";
}
