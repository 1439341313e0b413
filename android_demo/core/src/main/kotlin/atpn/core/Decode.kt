/** Network outputs -> landmarks, pose, presence and boxes in frame pixels. Pure functions. */

package atpn.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

private const val MAX_LANDMARK = 100f // crop units, 0..1 in the crop: beyond it, all is astray
private const val SMALLEST_AREA = 1.1754943508222875e-38 // the smallest normal float32: no 0 / 0

/**
 * What the network says about one region.
 *
 * @property landmarks frame pixels.
 * @property pose orientation of the head, in the frame.
 * @property presence probability that the region shows a face, 0..1.
 */
class Alignment(val landmarks: Landmarks, val pose: HeadPose, val presence: Float)

/** Average the outputs for a crop with those for its mirror image, brought back. */
fun averageViews(plain: AlignmentOutputs, mirrored: AlignmentOutputs): AlignmentOutputs {
    val (yaw, pitch, roll) = mirrored.pose
    return AlignmentOutputs(
        average(plain.landmarks, mirrorLandmarks(mirrored.landmarks)),
        average(plain.pose, floatArrayOf(-yaw, pitch, -roll)),
        average(plain.presence, mirrored.presence),
        plain.cropMs + mirrored.cropMs
    )
}

private fun average(a: FloatArray, b: FloatArray): FloatArray =
    FloatArray(a.size) { index -> (a[index] + b[index]) * 0.5f }

/**
 * Read the outputs of the alignment network.
 *
 * @param roi the region that was cropped. Where it is rotated, the pose is turned with it.
 * @param mirrored the network saw the mirror image of the region. Landmarks keep their names and
 *     come back to their places in the frame; so does the pose.
 * @return null when a value is not finite, or a landmark absurdly far away: there is nothing to
 *     follow then.
 */
fun decodeAlignment(outputs: AlignmentOutputs, roi: Roi, mirrored: Boolean = false): Alignment? {
    if (!isUsable(outputs)) {
        return null
    }
    val (yaw, pitch, roll) = outputs.pose
    var rotation = rotationFromEuler(yaw.toDouble(), pitch.toDouble(), roll.toDouble())
    var points = outputs.landmarks
    if (mirrored) {
        rotation = mirrorRotation(rotation)
        val seen = points
        points = FloatArray(seen.size) { index ->
            if (index % 2 == 0) 1f - seen[index] else seen[index]
        }
    }
    if (roi.rotationRad != 0.0) {
        rotation = rotateInImage(rotation, roi.rotationRad)
    }
    return Alignment(landmarksToFrame(points, roi), HeadPose(rotation), outputs.presence.last())
}

/** Whether all numbers are finite, and the landmarks in reach. */
private fun isUsable(outputs: AlignmentOutputs): Boolean =
    outputs.landmarks.all { abs(it) < MAX_LANDMARK } && // NaN compares false
        outputs.pose.all { it.isFinite() } &&
        outputs.presence.all { it.isFinite() }

/**
 * Read the outputs of the detector network: threshold, non-maximum suppression, to the frame.
 *
 * @param boxes left, top, right, bottom of each box, crop units.
 * @param scores one per box.
 * @param roi the region that the input showed, turned by a multiple of 90 degrees.
 * @return best first. Boxes may reach beyond the frame, as faces do. Boxes that are empty or not
 *     finite are left out.
 */
fun decodeDetections(
    boxes: FloatArray,
    scores: FloatArray,
    roi: Roi,
    config: DetectorConfig
): List<Detection> {
    val threshold = config.scoreThreshold.toFloat()
    val usable = ArrayList<Detection>()
    for (index in scores.indices) {
        if (scores[index] >= threshold) {
            val corners = boxes.copyOfRange(4 * index, 4 * index + 4)
            val (left, top, right, bottom) = corners
            if (corners.all { it.isFinite() } && right > left && bottom > top) {
                val box = Box(left.toDouble(), top.toDouble(), right.toDouble(), bottom.toDouble())
                usable.add(Detection(box, scores[index]))
            }
        }
    }
    return suppressOverlaps(usable, config.iouThreshold, config.maxDetections).map { (box, score) ->
        val corners = floatArrayOf(
            box.left.toFloat(), box.top.toFloat(), box.right.toFloat(), box.bottom.toFloat()
        )
        // A turn exchanges the corners: the box of both is taken.
        Detection(boxFromLandmarks(landmarksToFrame(corners, roi)), score)
    }
}

/**
 * Greedy non-maximum suppression.
 *
 * @param iouThreshold a box that overlaps a better one by more than this is dropped.
 * @param maxBoxes stop after so many.
 * @return the boxes kept, best first; of equal scores the earlier one is better.
 */
fun suppressOverlaps(
    detections: List<Detection>,
    iouThreshold: Double,
    maxBoxes: Int
): List<Detection> {
    val kept = ArrayList<Detection>()
    for (one in detections.sortedByDescending { it.score }) { // stable
        if (kept.size == maxBoxes) {
            break
        }
        if (kept.all { better -> overlap(better.box, one.box) <= iouThreshold }) {
            kept.add(one)
        }
    }
    return kept
}

/** Intersection over union; of empty boxes 0. */
private fun overlap(a: Box, b: Box): Double {
    val width = max(0.0, min(a.right, b.right) - max(a.left, b.left))
    val height = max(0.0, min(a.bottom, b.bottom) - max(a.top, b.top))
    val intersection = width * height
    return intersection / max(areaOf(a) + areaOf(b) - intersection, SMALLEST_AREA)
}
