/** A whole frame in a square, for the detector. Pure functions. */

package atpn.core

import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/**
 * Where a frame lies in a square, pixels of the square.
 *
 * @property right the column behind the last.
 * @property bottom the row behind the last.
 * @property roi the region of the frame that the square shows.
 */
class LetterboxLayout(
    val left: Int,
    val top: Int,
    val right: Int,
    val bottom: Int,
    val roi: Roi
)

/** A frame as a network input, and the region that it shows. */
class Letterbox(val tensor: FloatArray, val roi: Roi)

/** How much of which source pixels makes one pixel along an axis. */
private class Tap(val first: Int, val weights: FloatArray)

/**
 * Where a frame lies in a square: its longer side fills it; centred, black bars.
 *
 * @param width of the frame, pixels.
 * @param height of the frame, pixels.
 * @param resolution pixels on a side of the square.
 */
fun letterboxLayout(width: Int, height: Int, resolution: Int): LetterboxLayout {
    val longer = max(width, height)
    val newWidth = centeredLength(width, longer, resolution)
    val newHeight = centeredLength(height, longer, resolution)
    val left = (resolution - newWidth) / 2
    val top = (resolution - newHeight) / 2
    val roi = Roi((width - 1) / 2.0, (height - 1) / 2.0, longer.toDouble())
    return LetterboxLayout(left, top, left + newWidth, top + newHeight, roi)
}

/**
 * The whole frame as a network input, and the region it shows.
 *
 * @param rotationDeg clockwise turn that puts the frame upright: 0, 90, 180, 270.
 */
fun letterboxTensor(frame: Frame, spec: InputSpec, rotationDeg: Int = 0): Letterbox {
    val side = spec.resolution
    val layout = letterboxLayout(frame.width, frame.height, side)
    val width = layout.right - layout.left
    val scaled = resize(frame, width, layout.bottom - layout.top)
    val square = ByteArray(3 * side * side)
    for (row in layout.top until layout.bottom) {
        val from = 3 * (row - layout.top) * width
        System.arraycopy(scaled, from, square, 3 * (row * side + layout.left), 3 * width)
    }
    val upright = layout.roi.copy(rotationRad = uprightRotation(rotationDeg))
    return Letterbox(toTensor(turnClockwise(square, side, rotationDeg), spec), upright)
}

/** Scaled length, rounded so that the bars on both sides are equal: the centre stays exact. */
private fun centeredLength(length: Int, longer: Int, resolution: Int): Int {
    val exact = (resolution - length.toDouble() * resolution / longer) / 2.0
    val bar = round(exact).toInt() // a half to the even neighbour, as Python rounds
    return max(resolution - 2 * bar, 2 - resolution % 2)
}

/** Resize: averages where it shrinks, so that small faces do not alias; bilinear where it grows. */
private fun resize(frame: Frame, width: Int, height: Int): ByteArray {
    val columns = axisTaps(frame.width, width)
    val rows = axisTaps(frame.height, height)
    val resized = ByteArray(3 * width * height)
    val line = FloatArray(3 * frame.width)
    for (row in rows.indices) {
        line.fill(0f)
        val tap = rows[row]
        for (offset in tap.weights.indices) {
            addRow(frame, tap.first + offset, tap.weights[offset], line)
        }
        resizeLine(line, columns, resized, 3 * row * width)
    }
    return resized
}

/** Add a weighted row of a frame, without alpha, to a line. */
private fun addRow(frame: Frame, row: Int, weight: Float, line: FloatArray) {
    val data = frame.rgba
    var from = frame.rowBytes * row
    for (to in line.indices step 3) {
        line[to] += weight * (data[from].toInt() and 0xff)
        line[to + 1] += weight * (data[from + 1].toInt() and 0xff)
        line[to + 2] += weight * (data[from + 2].toInt() and 0xff)
        from += 4
    }
}

/** Resize one line of red, green, blue per pixel. */
private fun resizeLine(line: FloatArray, columns: List<Tap>, resized: ByteArray, start: Int) {
    var to = start
    for (tap in columns) {
        var red = 0.5f // what is stored is cut off, not rounded
        var green = 0.5f
        var blue = 0.5f
        var from = 3 * tap.first
        for (weight in tap.weights) {
            red += weight * line[from]
            green += weight * line[from + 1]
            blue += weight * line[from + 2]
            from += 3
        }
        resized[to] = red.toInt().toByte()
        resized[to + 1] = green.toInt().toByte()
        resized[to + 2] = blue.toInt().toByte()
        to += 3
    }
}

private fun axisTaps(from: Int, to: Int): List<Tap> {
    val scale = from.toDouble() / to
    return List(to) { index ->
        if (from > to) areaTap(index, scale, from) else linearTap(index, scale, from)
    }
}

private fun areaTap(index: Int, scale: Double, length: Int): Tap {
    val start = index * scale
    val end = min(start + scale, length.toDouble())
    val first = floor(start + 1e-9).toInt()
    val last = max(first, ceil(end - 1e-9).toInt() - 1)
    val weights = FloatArray(last - first + 1) { offset ->
        val pixel = first + offset
        ((min(end, pixel + 1.0) - max(start, pixel.toDouble())) / scale).toFloat()
    }
    return Tap(first, weights)
}

private fun linearTap(index: Int, scale: Double, length: Int): Tap {
    val place = ((index + 0.5) * scale - 0.5).coerceIn(0.0, length - 1.0)
    val first = floor(place).toInt()
    val share = (place - first).toFloat()
    return Tap(first, if (share == 0f) floatArrayOf(1f) else floatArrayOf(1f - share, share))
}

/** Turn a square picture (red, green, blue per pixel) by quarter turns. */
private fun turnClockwise(square: ByteArray, side: Int, rotationDeg: Int): ByteArray {
    if (rotationDeg == 0) {
        return square
    }
    val last = side - 1
    val turned = ByteArray(square.size)
    for (row in 0 until side) {
        for (column in 0 until side) {
            val from = when (rotationDeg) {
                90 -> (last - column) * side + row
                180 -> (last - row) * side + last - column
                else -> column * side + last - row
            }
            System.arraycopy(square, 3 * from, turned, 3 * (row * side + column), 3)
        }
    }
    return turned
}
