/** The nouns of the package: frames, regions, poses, faces and results. */

package atpn.core

import kotlin.math.PI
import kotlin.math.asin
import kotlin.math.atan2
import kotlin.math.max

/**
 * A picture: red, green, blue, alpha of each pixel, row by row; alpha is not looked at.
 *
 * The bytes are not copied: leave them alone while a call works on the frame.
 *
 * @property width columns, pixels.
 * @property height rows, pixels.
 * @property rgba the bytes; a camera may leave room behind each row.
 * @property rowBytes distance from one row to the next, bytes.
 * @throws InvalidFrameError it is empty, or the bytes are too few.
 */
class Frame(
    val width: Int,
    val height: Int,
    val rgba: ByteArray,
    val rowBytes: Int = 4 * width
) {
    init {
        val isFrame = width > 0 && height > 0 && rowBytes.toLong() >= 4L * width
        val needed = rowBytes.toLong() * (height - 1) + 4L * width // room may lack behind the last
        if (!isFrame || rgba.size < needed) {
            throw InvalidFrameError(
                "expected a frame of width x height RGBA pixels, four bytes each, " +
                    "got $width x $height, $rowBytes bytes per row and ${rgba.size} bytes"
            )
        }
    }
}

/**
 * A square region of a frame, the network's field of view.
 *
 * @property centerX frame pixels, x right, pixel centres at integers.
 * @property centerY frame pixels, y down.
 * @property size length of a side, frame pixels, above 0.
 * @property rotationRad clockwise in the image, radians.
 * @throws InvalidFrameError a value is not finite, or the size is not above 0.
 */
data class Roi(
    val centerX: Double,
    val centerY: Double,
    val size: Double,
    val rotationRad: Double = 0.0
) {
    init {
        val finite = centerX.isFinite() && centerY.isFinite() && size.isFinite()
        if (!finite || !rotationRad.isFinite() || size <= 0.0) {
            throw InvalidFrameError(
                "expected a Roi of finite numbers with size > 0, got " +
                    "center ($centerX, $centerY), size $size, rotation $rotationRad"
            )
        }
    }
}

/** A box, frame pixels (or crop units, where it says so). */
data class Box(val left: Double, val top: Double, val right: Double, val bottom: Double) {
    /** Length of the longer side. */
    val longerSide: Double get() = max(right - left, bottom - top)
}

/** A 3x3 matrix, row by row. */
typealias Rotation = DoubleArray

/** x and y of one landmark after the other: landmark i is at 2i and 2i + 1. */
typealias Landmarks = FloatArray

/**
 * The orientation of a head. Angles are degrees with the signs of 300W-LP and AFLW2000: yaw > 0 the
 * face turns to the left edge of the image, pitch > 0 it looks up, roll > 0 it tilts clockwise.
 *
 * @property rotation camera <- head, axes x right, y up, z towards the camera:
 *     Rz(-roll) Rx(-pitch) Ry(-yaw).
 */
class HeadPose(val rotation: Rotation) {
    /** -180..180. */
    val yawDeg: Double get() = -atan2(-rotation[6], rotation[8]) * DEGREES

    /** -90..90. */
    val pitchDeg: Double get() = -asin(rotation[7].coerceIn(-1.0, 1.0)) * DEGREES

    /** -180..180. */
    val rollDeg: Double get() = -atan2(-rotation[1], rotation[4]) * DEGREES

    private companion object {
        const val DEGREES = 180.0 / PI
    }
}

/** How a face came into a frame's result. */
enum class Source {
    /** The detector found it in this frame. */
    DETECTED,

    /** It was followed from the frame before. */
    TRACKED
}

/**
 * One face of one frame.
 *
 * @property trackId number of the track, from 0, not used twice between two `reset()`s; -1 outside
 *     tracks.
 * @property landmarks 98 points, frame pixels, x right, y down; smoothed where smoothing is on.
 * @property rawLandmarks the same as the network gave them.
 * @property presence probability that the region shows a face, 0..1.
 * @property pose smoothed where smoothing is on.
 * @property rawPose as the network gave it.
 * @property roi the region the network looked at.
 */
class Face(
    val trackId: Int,
    val landmarks: Landmarks,
    val rawLandmarks: Landmarks,
    val presence: Float,
    val pose: HeadPose,
    val rawPose: HeadPose,
    val roi: Roi,
    val source: Source
)

/**
 * A box found by a detector.
 *
 * @property box the bounding box of the landmarks.
 * @property score confidence, 0..1.
 */
data class Detection(val box: Box, val score: Float)

/**
 * Wall time of one frame by stage, milliseconds; 0 for a stage that did not run.
 *
 * @property trackerMs decoding, gate, smoothing, association.
 */
data class StageTimings(
    val detectorMs: Double = 0.0,
    val cropMs: Double = 0.0,
    val networkMs: Double = 0.0,
    val trackerMs: Double = 0.0
) {
    /** Sum of the stages, milliseconds. */
    val totalMs: Double get() = detectorMs + cropMs + networkMs + trackerMs
}

/**
 * What one frame gave.
 *
 * @property faces by trackId from `track()`, best detection first from `detect()`; empty when there
 *     is none.
 * @property timestampS the frame's time, seconds.
 * @property detectorRan whether the detector was asked in this frame.
 * @property lostIds tracks of the frame before that have no face in this one.
 */
class TrackResult(
    val faces: List<Face>,
    val timestampS: Double,
    val timings: StageTimings,
    val detectorRan: Boolean,
    val lostIds: List<Int>
)
