/** The presence gate: the network's own confidence decides whether a face is still there. */

/**
 * Whether a face is kept: presence at or above the threshold; never for NaN. Compared in float32,
 * the network's precision.
 */
export function passesGate(presence: number, threshold: number): boolean {
  return Math.fround(presence) >= Math.fround(threshold);
}
