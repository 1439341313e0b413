/** Finding faces in a whole frame. */

package atpn.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

private const val TILE_OVERLAP = 0.25 // of a tile, shared with the next: more than the small faces
private const val MIN_TILE = 32 // pixels: smaller ones show no face better, and are too many
private const val BORDER = 0.02 // of a tile: a box so near to an inner edge is a part of a face

/** Finds faces; an app can bring its own. */
interface Detector {
    /** The faces of a frame, best first; empty when there is none. */
    fun detect(frame: Frame): List<Detection>
}

/** A part of a frame, pixels: the first column and row, and those behind the last. */
data class Tile(val left: Int, val top: Int, val right: Int, val bottom: Int)

/**
 * The project's own detector: one network on the letterboxed frame, and on tiles of it.
 *
 * @param engine runs the network; stays the caller's to close.
 * @param rotationDeg clockwise turn that puts the frames upright: 0, 90, 180, 270.
 * @throws ModelMismatchError the network has no boxes and scores.
 * @throws ConfigError an option is outside its range.
 */
class NetworkDetector(
    private val engine: InferenceEngine,
    private val config: DetectorConfig = DetectorConfig(),
    private val rotationDeg: Int = 0
) : Detector {
    init {
        requireOutputs(engine.spec, listOf("boxes", "scores"))
        requireOneOf("rotationDeg", rotationDeg, listOf(0, 90, 180, 270))
    }

    override fun detect(frame: Frame): List<Detection> {
        val found = look(frame)
        if (config.tiles == 1) {
            return found
        }
        val all = ArrayList(found)
        for (tile in tilesOf(frame.width, frame.height, config.tiles)) {
            val whole = look(partOf(frame, tile)).filter { !isCut(it.box, tile, frame) }
            all.addAll(whole.map { moved(it, tile) })
        }
        return suppressOverlaps(all, config.iouThreshold, config.maxDetections)
    }

    private fun look(frame: Frame): List<Detection> {
        val letterbox = letterboxTensor(frame, engine.spec.input, rotationDeg)
        val outputs = engine.run(letterbox.tensor)
        val boxes = outputOf(outputs, "boxes", engine.spec)
        val scores = outputOf(outputs, "scores", engine.spec)
        return decodeDetections(boxes, scores, letterbox.roi, config)
    }
}

/**
 * Overlapping squares that cover a frame, row by row.
 *
 * @param width of the frame, pixels.
 * @param height of the frame, pixels.
 * @param count of tiles along the shorter side; the longer one has as many as it takes.
 * @return at least `count` tiles of one size; empty for frames too small to be cut.
 */
fun tilesOf(width: Int, height: Int, count: Int): List<Tile> {
    val size = round(min(width, height) / (count - (count - 1) * TILE_OVERLAP)).toInt()
    if (size < MIN_TILE) {
        return emptyList()
    }
    val lefts = tileStarts(width, size)
    return tileStarts(height, size).flatMap { top ->
        lefts.map { left -> Tile(left, top, left + size, top + size) }
    }
}

/** Where tiles begin along a side: evenly, the last at the end, sharing at least the overlap. */
private fun tileStarts(length: Int, size: Int): List<Int> {
    val free = length - size
    val slack = 0.01 // for the rounding of the size
    val count = 1 + ceil(free / (size * (1.0 - TILE_OVERLAP)) - slack).toInt()
    return List(count) { index -> round(free.toDouble() * index / max(count - 1, 1)).toInt() }
}

private fun partOf(frame: Frame, tile: Tile): Frame {
    val width = tile.right - tile.left
    val height = tile.bottom - tile.top
    val rgba = ByteArray(4 * width * height)
    for (row in 0 until height) {
        val from = frame.rowBytes * (tile.top + row) + 4 * tile.left
        System.arraycopy(frame.rgba, from, rgba, 4 * width * row, 4 * width)
    }
    return Frame(width, height, rgba)
}

private fun moved(detection: Detection, tile: Tile): Detection {
    val (left, top, right, bottom) = detection.box
    return detection.copy(
        box = Box(left + tile.left, top + tile.top, right + tile.left, bottom + tile.top)
    )
}

/** Whether a box, in the tile's pixels, reaches an edge of the tile that is not the frame's. */
private fun isCut(box: Box, tile: Tile, frame: Frame): Boolean {
    val width = tile.right - tile.left
    val height = tile.bottom - tile.top
    val margin = BORDER * width
    return (tile.left > 0 && box.left < margin) ||
        (tile.top > 0 && box.top < margin) ||
        (tile.right < frame.width && box.right > width - margin) ||
        (tile.bottom < frame.height && box.bottom > height - margin)
}
