/**
 * The one-euro filter for landmarks and head poses: calm at rest, quick in motion.
 *
 * Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
 * Input in Interactive Systems", CHI 2012. Two differences: speed is in face sizes per second, so a
 * near and a far face are smoothed alike; and it is the speed of the point, not of x and y apart.
 * Head poses are filtered as rotations: angles jump where they wrap around.
 */

package atpn.core

import kotlin.math.PI
import kotlin.math.sqrt

private const val MIN_STEP_S = 1e-6 // two frames cannot be closer; a speed over less could overflow

/** The state of one track; time is in seconds, so the frame rate may vary. */
class OneEuroFilter(private val config: SmoothingConfig) {
    private var last: DoubleArray? = null // the last result
    private var velocity = DoubleArray(0) // pixels / s, low-passed
    private var lastS = Double.NEGATIVE_INFINITY

    /**
     * Filter the next points. A timestamp that is not above the last one starts the filter anew,
     * and the points come back as they are.
     *
     * @param points frame pixels.
     * @param timestampS when they were seen, seconds.
     * @param faceSize the unit of length, pixels, above 0.
     */
    fun smooth(points: Landmarks, timestampS: Double, faceSize: Double): Landmarks {
        val stepS = timestampS - lastS
        lastS = timestampS
        val last = this.last
        if (last == null || stepS < MIN_STEP_S) {
            this.last = DoubleArray(points.size) { index -> points[index].toDouble() }
            velocity = DoubleArray(points.size)
            return points.copyOf()
        }
        val follow = weight(config.derivativeCutoffHz, stepS)
        for (x in points.indices step 2) {
            val y = x + 1
            val dx = points[x] - last[x]
            val dy = points[y] - last[y]
            velocity[x] += follow * (dx / stepS - velocity[x])
            velocity[y] += follow * (dy / stepS - velocity[y])
            val speed = sqrt(velocity[x] * velocity[x] + velocity[y] * velocity[y]) / faceSize
            val part = weight(config.minCutoffHz + config.beta * speed, stepS)
            last[x] += part * dx
            last[y] += part * dy
        }
        return FloatArray(last.size) { index -> last[index].toFloat() }
    }
}

/** The same for the rotation of one head; its speed is the angle of the turn per second. */
class RotationFilter(private val config: SmoothingConfig) {
    private var last: Rotation? = null // the last result
    private val velocity = DoubleArray(3) // axis times radians / s, low-passed
    private var lastS = Double.NEGATIVE_INFINITY

    /**
     * Filter the next rotation. A timestamp that is not above the last one starts the filter anew.
     *
     * @param timestampS when it was seen, seconds.
     */
    fun smooth(rotation: Rotation, timestampS: Double): Rotation {
        val stepS = timestampS - lastS
        lastS = timestampS
        val last = this.last
        if (last == null || stepS < MIN_STEP_S) {
            this.last = rotation.copyOf()
            velocity.fill(0.0)
            return rotation.copyOf()
        }
        val turn = vectorFromRotation(multiply(rotation, transpose(last)))
        val follow = weight(config.derivativeCutoffHz, stepS)
        for (axis in velocity.indices) {
            velocity[axis] += follow * (turn[axis] / stepS - velocity[axis])
        }
        val speed = length(velocity[0], velocity[1], velocity[2])
        val part = weight(config.poseMinCutoffHz + config.poseBeta * speed, stepS)
        for (axis in turn.indices) {
            turn[axis] *= part
        }
        val next = multiply(rotationFromVector(turn), last)
        this.last = next
        return next.copyOf()
    }
}

/** Share of the new value in a first-order low-pass: 1 / (1 + tau / step). */
private fun weight(cutoffHz: Double, stepS: Double): Double {
    val tauS = 1.0 / (2.0 * PI * cutoffHz)
    return 1.0 / (1.0 + tauS / stepS)
}
