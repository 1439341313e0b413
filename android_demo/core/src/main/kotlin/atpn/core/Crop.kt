/** Regions of a frame as network inputs. Pure functions. */

package atpn.core

import kotlin.math.floor

/**
 * Cut a region out of a frame in one affine, bilinear pass; black outside the frame.
 *
 * @param resolution pixels on a side of the crop.
 * @param mirrored the mirror image of the region.
 * @return red, green, blue of each pixel, row by row, bytes 0..255 without sign.
 */
fun cropFrame(frame: Frame, roi: Roi, resolution: Int, mirrored: Boolean = false): ByteArray {
    val map = cropToFrameMatrix(roi, resolution)
    val crop = ByteArray(3 * resolution * resolution)
    var target = 0
    for (row in 0 until resolution) {
        for (step in 0 until resolution) {
            val column = if (mirrored) resolution - 1 - step else step
            val x = map.a * column + map.b * row + map.c
            val y = map.d * column + map.e * row + map.f
            samplePixel(frame, x, y, crop, target)
            target += 3
        }
    }
    return crop
}

/** Write the colour between the four pixels around a place; those outside the frame are black. */
private fun samplePixel(frame: Frame, x: Double, y: Double, crop: ByteArray, target: Int) {
    val floorX = floor(x)
    val floorY = floor(y)
    val inside = floorX >= -1.0 && floorY >= -1.0 && floorX < frame.width && floorY < frame.height
    if (!inside) {
        return
    }
    val left = floorX.toInt()
    val top = floorY.toInt()
    val right = x - floorX // share of the right column
    val low = y - floorY // share of the lower row
    // A pixel that is not there has weight 0, and the one beside it is read instead.
    val hasLeft = if (left >= 0) 1.0 - right else 0.0
    val hasRight = if (left + 1 < frame.width) right else 0.0
    val upper = if (top >= 0) 1.0 - low else 0.0
    val lower = if (top + 1 < frame.height) low else 0.0
    val firstColumn = 4 * maxOf(left, 0)
    val lastColumn = 4 * minOf(left + 1, frame.width - 1)
    val firstRow = frame.rowBytes * maxOf(top, 0)
    val lastRow = frame.rowBytes * minOf(top + 1, frame.height - 1)
    val data = frame.rgba
    for (channel in 0 until 3) {
        val value = upper * (
            hasLeft * byteAt(data, firstRow + firstColumn + channel) +
                hasRight * byteAt(data, firstRow + lastColumn + channel)
            ) + lower * (
            hasLeft * byteAt(data, lastRow + firstColumn + channel) +
                hasRight * byteAt(data, lastRow + lastColumn + channel)
            )
        crop[target + channel] = (value + 0.5).toInt().toByte()
    }
}

private fun byteAt(data: ByteArray, index: Int): Int = data[index].toInt() and 0xff

/**
 * Turn a square picture into a network input.
 *
 * @param picture red, green, blue of each pixel, row by row.
 * @param spec what the network takes.
 * @return of `spec.shape`, values 0..255.
 */
fun toTensor(picture: ByteArray, spec: InputSpec): FloatArray {
    val tensor = FloatArray(picture.size)
    if (spec.layout == Layout.NHWC) {
        for (index in picture.indices) {
            tensor[index] = byteAt(picture, index).toFloat()
        }
        return tensor
    }
    val plane = picture.size / 3
    for (pixel in 0 until plane) {
        for (channel in 0 until 3) {
            tensor[channel * plane + pixel] = byteAt(picture, 3 * pixel + channel).toFloat()
        }
    }
    return tensor
}

/** A region of a frame as a network input: see [cropFrame]. */
fun cropTensor(frame: Frame, roi: Roi, spec: InputSpec, mirrored: Boolean = false): FloatArray =
    toTensor(cropFrame(frame, roi, spec.resolution, mirrored), spec)
