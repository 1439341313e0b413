/**
 * Options: immutable, checked when made, the unit in the name. Defaults are the Python runtime's.
 */

package atpn.core

import kotlin.math.max
import kotlin.math.min

private val QUARTER_TURNS = listOf(0, 90, 180, 270)

/**
 * Options of the detector that is built from the project's own network.
 *
 * @property scoreThreshold boxes below this confidence are dropped; 0..1.
 * @property iouThreshold boxes that overlap a better one by more are the same face; 0..1.
 * @property maxDetections at most so many boxes, the best ones; from 1.
 * @property tiles small-face mode: besides the whole frame, its shorter side is cut into so many
 *     overlapping tiles, the longer one into as many more as fit; each is looked at alone. 1 for
 *     none.
 * @throws ConfigError a value is outside its range.
 */
data class DetectorConfig(
    val scoreThreshold: Double = 0.5,
    val iouThreshold: Double = 0.4,
    val maxDetections: Int = 100,
    val tiles: Int = 1
) {
    init {
        requireNumber("scoreThreshold", scoreThreshold, 0.0, 1.0)
        requireNumber("iouThreshold", iouThreshold, 0.0, 1.0)
        requireCount("maxDetections", maxDetections)
        requireCount("tiles", tiles)
    }
}

/**
 * Options of the one-euro filter; lengths are in face sizes, so distance does not matter.
 *
 * @property minCutoffHz cut-off for a landmark at rest: lower is calmer and slower to follow; above
 *     0.
 * @property beta rise of the cut-off with speed, Hz per (face size / second): higher lags less;
 *     from 0.
 * @property derivativeCutoffHz cut-off of the speed estimate: lower ignores noise, higher reacts
 *     sooner; above 0.
 * @property poseMinCutoffHz the same as minCutoffHz for the head pose; above 0.
 * @property poseBeta the same as beta for the head pose, whose speed is in radians per second; from
 *     0.
 * @throws ConfigError a value is outside its range.
 */
data class SmoothingConfig(
    val minCutoffHz: Double = 1.0,
    val beta: Double = 40.0,
    val derivativeCutoffHz: Double = 1.0,
    val poseMinCutoffHz: Double = 1.0,
    val poseBeta: Double = 8.0
) {
    init {
        requireNumber("minCutoffHz", minCutoffHz, Double.MIN_VALUE)
        requireNumber("beta", beta, 0.0)
        requireNumber("derivativeCutoffHz", derivativeCutoffHz, Double.MIN_VALUE)
        requireNumber("poseMinCutoffHz", poseMinCutoffHz, Double.MIN_VALUE)
        requireNumber("poseBeta", poseBeta, 0.0)
    }
}

/**
 * Options of [FaceTracker].
 *
 * @property rotationDeg clockwise turn, degrees, that would put the frames upright: 0, 90, 180,
 *     270. What CameraX calls `rotationDegrees`. Results stay in the coordinates of the frame as it
 *     is.
 * @property mirrored the frames are mirror images: landmarks keep the names of the subject's own
 *     right and left. (Android's cameras do not mirror frames; only what is shown is mirrored.)
 * @property maxFaces faces followed at the same time, and the most that `detect()` reports; from 1.
 * @property presenceThreshold the gate: what the network's presence has to be; 0..1. A face is
 *     taken up at this plus the hysteresis, and kept down to this minus the hysteresis.
 * @property presenceHysteresis see presenceThreshold; 0..1.
 * @property retryScale a face that does not pass the gate is looked for once more in a region so
 *     many times larger before it is given up; from 1, which turns that off.
 * @property reattachS a face that comes back within so many seconds keeps its id; from 0 ...
 * @property reattachDistance ... if it is not farther away than so many times its size; from 0.
 * @property detectIntervalFrames with some faces tracked but fewer than maxFaces, the detector is
 *     asked every so many frames; with no face, and while a lost one may come back, at once; from
 *     1.
 * @property idleAfterFrames after so many frames without any face ...; from 1.
 * @property idleIntervalFrames ... the detector is asked every so many frames only; from 1.
 * @property views looks at each face: 2 also takes the mirrored crop and averages, at twice the
 *     cost.
 * @property roiExtension share of the face box's longer side added at each boundary; 0..1. The
 *     network was trained with the default.
 * @property sameFaceIou two boxes that overlap by at least this are one face; above 0, up to 1.
 * @property smoothing smoothing of landmarks and pose; null turns it off.
 * @property detector the project's own detector; without effect when another one is handed in.
 * @throws ConfigError a value is outside its range.
 */
data class TrackerConfig(
    val rotationDeg: Int = 0,
    val mirrored: Boolean = false,
    val maxFaces: Int = 1,
    val presenceThreshold: Double = 0.7,
    val presenceHysteresis: Double = 0.05,
    val retryScale: Double = 1.5,
    val reattachS: Double = 2.0,
    val reattachDistance: Double = 2.0,
    val detectIntervalFrames: Int = 10,
    val idleAfterFrames: Int = 90,
    val idleIntervalFrames: Int = 3,
    val views: Int = 1,
    val roiExtension: Double = 0.25,
    val sameFaceIou: Double = 0.5,
    val smoothing: SmoothingConfig? = SmoothingConfig(),
    val detector: DetectorConfig = DetectorConfig()
) {
    init {
        requireOneOf("rotationDeg", rotationDeg, QUARTER_TURNS)
        requireCount("maxFaces", maxFaces)
        requireNumber("presenceThreshold", presenceThreshold, 0.0, 1.0)
        requireNumber("presenceHysteresis", presenceHysteresis, 0.0, 1.0)
        requireNumber("retryScale", retryScale, 1.0)
        requireNumber("reattachS", reattachS, 0.0)
        requireNumber("reattachDistance", reattachDistance, 0.0)
        requireCount("detectIntervalFrames", detectIntervalFrames)
        requireCount("idleAfterFrames", idleAfterFrames)
        requireCount("idleIntervalFrames", idleIntervalFrames)
        requireOneOf("views", views, listOf(1, 2))
        requireNumber("roiExtension", roiExtension, 0.0, 1.0)
        requireNumber("sameFaceIou", sameFaceIou, Double.MIN_VALUE, 1.0)
    }

    /** Presence at which a face is taken up, at most 1. */
    val acceptPresence: Double get() = min(1.0, presenceThreshold + presenceHysteresis)

    /** Presence down to which a tracked face is kept, at least 0. */
    val keepPresence: Double get() = max(0.0, presenceThreshold - presenceHysteresis)
}

internal fun requireOneOf(name: String, value: Int, allowed: List<Int>) {
    if (value !in allowed) {
        throw ConfigError("expected $name to be ${allowed.joinToString(" or ")}, got $value")
    }
}

private fun requireNumber(
    name: String,
    value: Double,
    low: Double,
    high: Double = Double.POSITIVE_INFINITY
) {
    if (!value.isFinite() || value < low || value > high) {
        val from = if (low == Double.MIN_VALUE) "> 0" else ">= $low"
        val to = if (high == Double.POSITIVE_INFINITY) "" else ", <= $high"
        throw ConfigError("expected $name to be a finite number $from$to, got $value")
    }
}

private fun requireCount(name: String, value: Int) {
    if (value < 1) {
        throw ConfigError("expected $name to be a whole number from 1, got $value")
    }
}
