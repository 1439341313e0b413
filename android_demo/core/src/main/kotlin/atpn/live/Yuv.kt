package atpn.live

import java.nio.ByteBuffer

/**
 * One plane of a YUV_420_888 picture, as `android.media.Image.Plane` describes it.
 *
 * @property rowBytes distance from one row to the next.
 * @property pixelBytes distance from one value to the next in a row.
 */
class YuvPlane(val bytes: ByteBuffer, val rowBytes: Int, val pixelBytes: Int)

/**
 * Turn a YUV_420_888 picture into red, green, blue, alpha: full-range BT.601, what Android's
 * cameras give (JFIF).
 *
 * @param u of every second column and row, as v.
 * @param rgba where it goes: 4 width height bytes.
 */
fun yuvToRgba(
    width: Int,
    height: Int,
    y: YuvPlane,
    u: YuvPlane,
    v: YuvPlane,
    rgba: ByteArray
) {
    require(rgba.size >= 4 * width * height) {
        "expected room for ${4 * width * height} bytes, got ${rgba.size}"
    }
    var to = 0
    for (row in 0 until height) {
        var fromY = row * y.rowBytes
        for (column in 0 until width) {
            val light = (y.bytes.get(fromY).toInt() and 0xff) shl 16
            val fromU = row / 2 * u.rowBytes + column / 2 * u.pixelBytes
            val fromV = row / 2 * v.rowBytes + column / 2 * v.pixelBytes
            val blue = (u.bytes.get(fromU).toInt() and 0xff) - 128
            val red = (v.bytes.get(fromV).toInt() and 0xff) - 128
            // 1.402, 0.344136, 0.714136 and 1.772 in steps of 1 / 65536
            rgba[to] = clamped(light + 91881 * red)
            rgba[to + 1] = clamped(light - 22554 * blue - 46802 * red)
            rgba[to + 2] = clamped(light + 116130 * blue)
            rgba[to + 3] = -1
            fromY += y.pixelBytes
            to += 4
        }
    }
}

private fun clamped(value: Int): Byte = ((value + 32768) shr 16).coerceIn(0, 255).toByte()
