package atpn.live

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class ViewMappingTest {
    private val topLeft = floatArrayOf(-0.5f, -0.5f) // the corner of a frame of 640 x 480
    private val bottomRight = floatArrayOf(639.5f, 479.5f)

    private fun map(rotationDeg: Int, isMirrored: Boolean, point: FloatArray): List<Float> {
        val isTurned = rotationDeg % 180 != 0
        val (width, height) = if (isTurned) 480 to 640 else 640 to 480
        return ViewMapping.of(640, 480, rotationDeg, isMirrored, width, height).map(point).toList()
    }

    @Test
    fun `a turn moves the frame's corner to the corner where it belongs`() {
        assertEquals(listOf(0f, 0f), map(0, false, topLeft))
        assertEquals(listOf(480f, 0f), map(90, false, topLeft)) // clockwise: to the right
        assertEquals(listOf(640f, 480f), map(180, false, topLeft))
        assertEquals(listOf(0f, 640f), map(270, false, topLeft))
        assertEquals(listOf(640f, 480f), map(0, false, bottomRight))
        assertEquals(listOf(0f, 640f), map(90, false, bottomRight))
    }

    @Test
    fun `the mirror exchanges right and left of the upright picture`() {
        assertEquals(listOf(640f, 0f), map(0, true, topLeft))
        assertEquals(listOf(0f, 0f), map(90, true, topLeft))
        assertEquals(listOf(0f, 480f), map(180, true, topLeft))
        assertEquals(listOf(480f, 640f), map(270, true, topLeft))
    }

    @Test
    fun `the middle stays the middle, in every turn, mirror, scale and view`() {
        val middle = floatArrayOf(319.5f, 239.5f)
        for (rotationDeg in listOf(0, 90, 180, 270)) {
            for (isMirrored in listOf(false, true)) {
                for (scale in Scale.values()) {
                    val map = ViewMapping.of(640, 480, rotationDeg, isMirrored, 1080, 2100, scale)
                    assertArrayEquals(floatArrayOf(540f, 1050f), map.map(middle), 1e-3f)
                }
            }
        }
    }

    @Test
    fun `fill cuts off, fit leaves bars`() {
        val fill = ViewMapping.of(640, 480, 0, false, 640, 960, Scale.FILL)
        assertArrayEquals(floatArrayOf(-320f, 0f), fill.map(topLeft), 1e-3f)
        assertEquals(2f, fill.scale)
        val fit = ViewMapping.of(640, 480, 0, false, 640, 960, Scale.FIT)
        assertArrayEquals(floatArrayOf(0f, 240f), fit.map(topLeft), 1e-3f)
        assertEquals(1f, fit.scale)
        assertEquals(2f, ViewMapping.of(640, 480, 270, true, 960, 640).scale)
    }

    @Test
    fun `refuses what is no quarter turn and no frame`() {
        val error = assertThrows(IllegalArgumentException::class.java) {
            ViewMapping.of(640, 480, 45, false, 1, 1)
        }
        assertEquals("expected rotationDeg to be 0 or 90 or 180 or 270, got 45", error.message)
        assertThrows(IllegalArgumentException::class.java) {
            ViewMapping.of(0, 480, 0, false, 1, 1)
        }
    }
}
