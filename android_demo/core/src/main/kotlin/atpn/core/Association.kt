/** Which boxes show the same face. Pure functions. */

package atpn.core

import kotlin.math.hypot
import kotlin.math.round

private const val MAX_SIZE_RATIO = 2.0 // between a lost face and one that may be it

/** Whether a box shows the same face as one of the others: IoU at or above the threshold. */
fun overlapsAny(box: Box, others: List<Box>, iouThreshold: Double): Boolean =
    others.any { other -> boxIou(box, other) >= iouThreshold }

/**
 * Choose one track per face.
 *
 * Of two tracks on one face the one with the lower presence goes: its region fits the face worse.
 * Where presences agree to two decimals, noise must not decide, and the later in the order goes.
 *
 * @param boxes per track, the one to be preferred first.
 * @param presences per track.
 * @param iouThreshold tracks whose boxes overlap by at least this sit on one face.
 * @return indices of the tracks to keep, ascending.
 */
fun distinctFaces(boxes: List<Box>, presences: List<Double>, iouThreshold: Double): List<Int> {
    val order = boxes.indices.sortedByDescending { round(presences[it] * 100.0) } // stable
    val kept = ArrayList<Int>()
    for (index in order) {
        if (!overlapsAny(boxes[index], kept.map { boxes[it] }, iouThreshold)) {
            kept.add(index)
        }
    }
    return kept.sorted()
}

private class Candidate(val distance: Double, val found: Int, val lost: Int)

/**
 * Which faces that were lost have come back.
 *
 * The nearest pair first; a face is matched once. Distances are between centres, in longer sides of
 * the lost face's box.
 *
 * @param boxes of the faces that were found.
 * @param lostBoxes where lost faces were last seen.
 * @param maxDistance farther away, it is another face.
 * @return per found face the index of the lost one, null where it is none of them.
 */
fun matchLost(boxes: List<Box>, lostBoxes: List<Box>, maxDistance: Double): List<Int?> {
    val pairs = ArrayList<Candidate>() // in the order of found, then lost: the sort below is stable
    for (found in boxes.indices) {
        for (lost in lostBoxes.indices) {
            pairs.add(Candidate(distanceTo(boxes[found], lostBoxes[lost]), found, lost))
        }
    }
    val matches = HashMap<Int, Int>()
    for (pair in pairs.filter { it.distance <= maxDistance }.sortedBy { it.distance }) {
        if (pair.found !in matches && pair.lost !in matches.values) {
            matches[pair.found] = pair.lost
        }
    }
    return boxes.indices.map { found -> matches[found] }
}

/** Between the centres, in sizes of the lost face; infinite for faces of other sizes. */
private fun distanceTo(box: Box, lost: Box): Double {
    val size = lost.longerSide
    val ratio = box.longerSide / size
    if (!(ratio >= 1.0 / MAX_SIZE_RATIO && ratio <= MAX_SIZE_RATIO)) { // also for NaN
        return Double.POSITIVE_INFINITY
    }
    val dx = (box.left + box.right - lost.left - lost.right) / 2.0
    val dy = (box.top + box.bottom - lost.top - lost.bottom) / 2.0
    return hypot(dx, dy) / size
}
