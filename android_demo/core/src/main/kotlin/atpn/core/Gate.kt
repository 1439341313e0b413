/** The presence gate: the network's own confidence decides whether a face is still there. */

package atpn.core

/**
 * Whether a face is kept: presence at or above the threshold; never for NaN. Compared in float32,
 * the network's precision.
 */
fun passesGate(presence: Float, threshold: Double): Boolean = presence >= threshold.toFloat()
