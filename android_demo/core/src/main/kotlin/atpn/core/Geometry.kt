/**
 * Regions and crop transforms. Pure functions.
 *
 * Two coordinate systems for a crop: *crop pixels*, pixel centres at integers, and *crop units*,
 * 0..1 from the outer edge of the first pixel to the outer edge of the last, whatever the
 * resolution: `u = (pixel + 0.5) / resolution`. The network's landmarks are crop units.
 */

package atpn.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin

/** Of the longer side, on each boundary: side = 1.5 x (arXiv 2103.07615, sec. 3). */
const val ROI_EXTENSION = 0.25

private const val POSITION_STEP = 0.02 // of the grid of centres, share of the size
private const val SIZE_STEP = 0.035 // of the grid of sizes, in their natural logarithm

// Grid steps that a region may be off before it moves; with less, some never come to rest.
private const val KEEP = 1.0

/** An affine map: x' = a x + b y + c, y' = d x + e y + f. */
class Affine(
    val a: Double,
    val b: Double,
    val c: Double,
    val d: Double,
    val e: Double,
    val f: Double
)

/** Bounding box of landmarks. */
fun boxFromLandmarks(landmarks: Landmarks): Box {
    var left = Float.POSITIVE_INFINITY
    var top = Float.POSITIVE_INFINITY
    var right = Float.NEGATIVE_INFINITY
    var bottom = Float.NEGATIVE_INFINITY
    for (index in landmarks.indices step 2) {
        left = min(left, landmarks[index])
        right = max(right, landmarks[index])
        top = min(top, landmarks[index + 1])
        bottom = max(bottom, landmarks[index + 1])
    }
    return Box(left.toDouble(), top.toDouble(), right.toDouble(), bottom.toDouble())
}

/**
 * Square region around a box: its centre, its longer side extended on each boundary.
 *
 * @param extension share of the longer side added at each boundary.
 * @param rotationRad of the region, clockwise in the image.
 * @throws InvalidFrameError the box is empty or not finite.
 */
fun roiFromBox(box: Box, extension: Double = ROI_EXTENSION, rotationRad: Double = 0.0): Roi {
    val size = box.longerSide * (1.0 + 2.0 * extension)
    return Roi((box.left + box.right) / 2.0, (box.top + box.bottom) / 2.0, size, rotationRad)
}

/** Region in which a face with these landmarks is looked for in the next frame. */
fun roiFromLandmarks(landmarks: Landmarks, extension: Double = ROI_EXTENSION): Roi =
    roiFromBox(boxFromLandmarks(landmarks), extension)

/** Intersection over union of two boxes, 0..1. */
fun boxIou(a: Box, b: Box): Double {
    val width = min(a.right, b.right) - max(a.left, b.left)
    val height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if (width <= 0.0 || height <= 0.0) {
        return 0.0
    }
    val intersection = width * height
    return intersection / (areaOf(a) + areaOf(b) - intersection)
}

internal fun areaOf(box: Box): Double = (box.right - box.left) * (box.bottom - box.top)

/**
 * Where to look next: the same region as long as it fits, else a nearby one out of a grid.
 *
 * A region that follows every small change of the landmarks feeds the network's own noise back to
 * it. One that rests until it is off by [KEEP] of a grid step, and then jumps to the grid, ends
 * that, and engines whose last digits differ agree over whole clips.
 *
 * @param current the region of this frame.
 * @param target the region by this frame's landmarks.
 */
fun steadyRoi(current: Roi, target: Roi): Roi {
    val reach = KEEP * POSITION_STEP * current.size
    val fits = abs(target.centerX - current.centerX) <= reach &&
        abs(target.centerY - current.centerY) <= reach &&
        abs(ln(target.size / current.size)) <= KEEP * SIZE_STEP &&
        target.rotationRad == current.rotationRad
    return if (fits) current else onGrid(target)
}

/** The nearest of the regions that [steadyRoi] jumps to; at most half a step away. */
fun onGrid(roi: Roi): Roi {
    val size = exp(roundHalfUp(ln(roi.size) / SIZE_STEP) * SIZE_STEP)
    val step = POSITION_STEP * size
    return Roi(
        roundHalfUp(roi.centerX / step) * step,
        roundHalfUp(roi.centerY / step) * step,
        size,
        roi.rotationRad
    )
}

/** The nearest whole number; a half goes up. */
private fun roundHalfUp(value: Double): Double = floor(value + 0.5)

/**
 * How a region is turned that shows faces upright, in radians, clockwise in the image.
 *
 * @param rotationDeg clockwise turn that would put the frame upright: a multiple of 90.
 */
fun uprightRotation(rotationDeg: Int): Double {
    val turnDeg = ((179 - rotationDeg) % 360 + 360) % 360 - 179 // above -180, up to 180
    return turnDeg * PI / 180.0
}

/**
 * Affine map of crop pixels to frame pixels.
 *
 * @param resolution pixels on a side of the crop.
 */
fun cropToFrameMatrix(roi: Roi, resolution: Int): Affine {
    val scale = roi.size / resolution
    val cos = scale * cos(roi.rotationRad)
    val sin = scale * sin(roi.rotationRad)
    val middle = (resolution - 1) / 2.0
    return Affine(
        cos, -sin, roi.centerX - middle * (cos - sin),
        sin, cos, roi.centerY - middle * (sin + cos)
    )
}

/** Move landmarks from crop units to frame pixels. */
fun landmarksToFrame(landmarks: Landmarks, roi: Roi): Landmarks {
    val cos = roi.size * cos(roi.rotationRad)
    val sin = roi.size * sin(roi.rotationRad)
    val moved = FloatArray(landmarks.size)
    for (index in landmarks.indices step 2) {
        val x = landmarks[index] - 0.5
        val y = landmarks[index + 1] - 0.5
        moved[index] = (roi.centerX + cos * x - sin * y).toFloat()
        moved[index + 1] = (roi.centerY + sin * x + cos * y).toFloat()
    }
    return moved
}

/** Move landmarks from frame pixels to crop units: the inverse of [landmarksToFrame]. */
fun landmarksToCrop(landmarks: Landmarks, roi: Roi): Landmarks {
    val cos = cos(roi.rotationRad) / roi.size
    val sin = sin(roi.rotationRad) / roi.size
    val moved = FloatArray(landmarks.size)
    for (index in landmarks.indices step 2) {
        val x = landmarks[index] - roi.centerX
        val y = landmarks[index + 1] - roi.centerY
        moved[index] = (0.5 + cos * x + sin * y).toFloat()
        moved[index + 1] = (0.5 - sin * x + cos * y).toFloat()
    }
    return moved
}

/** Landmarks (crop units) in the mirrored crop: other places, and right is left. */
fun mirrorLandmarks(landmarks: Landmarks): Landmarks {
    val mirrored = FloatArray(landmarks.size)
    for (to in MIRROR.indices) {
        mirrored[2 * to] = 1f - landmarks[2 * MIRROR[to]]
        mirrored[2 * to + 1] = landmarks[2 * MIRROR[to] + 1]
    }
    return mirrored
}
