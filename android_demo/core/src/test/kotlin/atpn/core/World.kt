/**
 * A world of circles instead of pictures: the tracker's logic alone, as in Python's WorldTracker.
 */

package atpn.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.hypot
import kotlin.math.sin

/**
 * A face: a circle.
 *
 * @property x centre, frame pixels; so is y.
 * @property size diameter, frame pixels.
 * @property presence what the network says of it, 0..1.
 */
class WorldFace(val x: Double, val y: Double, val size: Double, val presence: Double = 1.0)

/**
 * Outputs of the alignment network for a face whose landmarks stand on a circle.
 *
 * @param x centre, crop units; so is y.
 * @param size diameter, crop units.
 */
fun circle(x: Double, y: Double, size: Double, presence: Double): AlignmentOutputs {
    val landmarks = FloatArray(2 * NUM_LANDMARKS)
    for (index in 0 until NUM_LANDMARKS) {
        val turn = if (index < 4) index / 4.0 else (index - 4.0) / (NUM_LANDMARKS - 5)
        landmarks[2 * index] = (x + size / 2.0 * cos(2.0 * PI * turn)).toFloat()
        landmarks[2 * index + 1] = (y + size / 2.0 * sin(2.0 * PI * turn)).toFloat()
    }
    return AlignmentOutputs(landmarks, FloatArray(3), floatArrayOf(presence.toFloat()))
}

/** Network and detector that see the faces of the present moment. */
class World(var faces: List<WorldFace> = emptyList()) : AlignmentNetwork, Detector {
    override fun run(frame: Frame, roi: Roi, mirrored: Boolean): AlignmentOutputs {
        val reach = roi.size / 2.0
        val near = faces
            .filter { abs(it.x - roi.centerX) <= reach && abs(it.y - roi.centerY) <= reach }
            .sortedBy { hypot(it.x - roi.centerX, it.y - roi.centerY) }
            .firstOrNull()
            ?: return circle(0.5, 0.5, 2.0 / 3.0, 0.0)
        val x = (near.x - roi.centerX) / roi.size + 0.5
        val y = (near.y - roi.centerY) / roi.size + 0.5
        return circle(x, y, near.size / roi.size, near.presence)
    }

    override fun detect(frame: Frame): List<Detection> =
        faces.sortedByDescending { it.size }.map {
            val half = it.size / 2.0
            Detection(Box(it.x - half, it.y - half, it.x + half, it.y + half), 0.9f)
        }
}

fun blackFrame(width: Int, height: Int): Frame = Frame(width, height, ByteArray(4 * width * height))
