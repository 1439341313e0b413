package atpn.live

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class YuvTest {
    private fun plane(rowBytes: Int, pixelBytes: Int, vararg bytes: Int): YuvPlane {
        val values = ByteArray(bytes.size) { bytes[it].toByte() }
        return YuvPlane(ByteBuffer.wrap(values), rowBytes, pixelBytes)
    }

    private fun pixels(
        width: Int,
        height: Int,
        y: YuvPlane,
        u: YuvPlane,
        v: YuvPlane
    ): List<List<Int>> {
        val rgba = ByteArray(4 * width * height)
        yuvToRgba(width, height, y, u, v, rgba)
        return rgba.map { it.toInt() and 0xff }.chunked(4)
    }

    @Test
    fun `grey stays grey, red and blue come out as they are`() {
        val grey = pixels(1, 1, plane(1, 1, 90), plane(1, 1, 128), plane(1, 1, 128))
        assertEquals(listOf(90, 90, 90, 255), grey.single())
        // ITU-T T.871: pure red is Y 76, Cb 85, Cr 255; pure blue Y 29, Cb 255, Cr 107.
        val red = pixels(1, 1, plane(1, 1, 76), plane(1, 1, 85), plane(1, 1, 255)).single()
        assertEquals(listOf(254, 0, 0, 255), red)
        val blue = pixels(1, 1, plane(1, 1, 29), plane(1, 1, 255), plane(1, 1, 107)).single()
        assertEquals(listOf(0, 0, 254, 255), blue)
    }

    @Test
    fun `distances of rows and pixels are kept, colours hold for two by two pixels`() {
        val y = plane(4, 1, 10, 20, 30, 0, 40, 50, 60, 0)
        val u = plane(8, 2, 128, 0, 255, 0)
        val v = plane(8, 2, 128, 0, 107, 0)
        val shown = pixels(3, 2, y, u, v)
        assertEquals(listOf(10, 20, 40, 50), listOf(0, 1, 3, 4).map { shown[it][0] })
        assertEquals(listOf(255, 255), listOf(2, 5).map { shown[it][2] }) // blue, in both rows
    }

    @Test
    fun `refuses too little room`() {
        assertThrows(IllegalArgumentException::class.java) {
            val one = plane(1, 1, 0)
            yuvToRgba(1, 1, one, one, one, ByteArray(3))
        }
    }
}
