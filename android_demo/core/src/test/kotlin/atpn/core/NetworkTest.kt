package atpn.core

import kotlin.math.PI
import kotlin.math.abs
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Networks, their inputs, and rotations at their limits. */
class NetworkTest {
    private val input = InputSpec("image", listOf(1, 3, 4, 4), Layout.NCHW, 4)

    @Test
    fun `an output of another size is refused`() {
        val engine = FakeEngine.alignment(
            AlignmentOutputs(FloatArray(4), FloatArray(3), FloatArray(1))
        )
        val error = assertThrows(ModelMismatchError::class.java) {
            CropNetwork(engine).run(blackFrame(8, 8), Roi(3.0, 3.0, 4.0), false)
        }
        val expected = "expected 196 numbers for output landmarks of model fake, got 4"
        assertEquals(expected, error.message)
    }

    @Test
    fun `a network without the outputs is refused when it is wrapped`() {
        assertThrows(ModelMismatchError::class.java) { NetworkDetector(FakeEngine.alignment()) }
        assertThrows(ModelMismatchError::class.java) { CropNetwork(FakeEngine.detection()) }
    }

    @Test
    fun `a turned letterbox - the frame's left column is the top row of the upright square`() {
        val frame = blackFrame(4, 4)
        for (row in 0 until 4) {
            frame.rgba[16 * row] = (10 * (row + 1)).toByte() // red of the left column, downwards
        }
        fun red(rotationDeg: Int): List<Int> =
            letterboxTensor(frame, input, rotationDeg).tensor.take(16).map { it.toInt() }
        assertEquals(listOf(10, 20, 30, 40), red(0).chunked(4).map { it.first() })
        assertEquals(listOf(40, 30, 20, 10), red(90).take(4)) // clockwise: the bottom to the left
        assertEquals(listOf(40, 30, 20, 10), red(180).chunked(4).map { it.last() })
        assertEquals(listOf(10, 20, 30, 40), red(270).takeLast(4))
    }

    @Test
    fun `a letterbox averages what falls into a pixel, in planes or interleaved`() {
        val frame = blackFrame(8, 4)
        frame.rgba[0] = 200.toByte() // one of the four pixels that make the first
        frame.rgba[1] = 100
        val planes = letterboxTensor(frame, input).tensor
        assertEquals(listOf(50f, 25f, 0f), listOf(planes[4], planes[16 + 4], planes[32 + 4]))
        val nhwc = InputSpec("image", listOf(1, 4, 4, 3), Layout.NHWC, 4)
        val mixed = letterboxTensor(frame, nhwc).tensor
        assertEquals(listOf(50f, 25f, 0f), mixed.slice(12..14)) // below the bar
    }

    @Test
    fun `tiles find what the whole frame does not, and leave out what they cut`() {
        val spec = FakeEngine.specOf(
            32, Layout.NCHW, "boxes" to listOf(1, 2, 4), "scores" to listOf(1, 2)
        )
        val boxes = floatArrayOf(0.4f, 0.4f, 0.6f, 0.6f, 0.0f, 0.4f, 0.2f, 0.6f)
        val engine = FakeEngine(spec, mapOf("boxes" to boxes, "scores" to floatArrayOf(0.9f, 0.8f)))
        val config = DetectorConfig(tiles = 2)
        val found = NetworkDetector(engine, config).detect(blackFrame(160, 160))
        val tiles = tilesOf(160, 160, 2)
        assertEquals(1 + tiles.size, engine.inputs.size)
        // In each tile one in its middle, and one at its left edge: that one is a part of a face,
        // unless the edge is the frame's.
        fun isFound(x: Double, y: Double): Boolean = found.any { (box) ->
            val offX = (box.left + box.right) / 2.0 - x
            val offY = (box.top + box.bottom) / 2.0 - y
            abs(offX) < 1.0 && abs(offY) < 1.0
        }
        for (tile in tiles) {
            val size = tile.right - tile.left
            val middleY = (tile.top + tile.bottom - 1) / 2.0
            assertTrue(isFound((tile.left + tile.right - 1) / 2.0, middleY))
            assertEquals(tile.left == 0, isFound(tile.left + 0.1 * size - 0.5, middleY))
        }
    }

    @Test
    fun `a rotation becomes a vector and comes back, half turns and tiny ones included`() {
        val axes = listOf(
            doubleArrayOf(1.0, 0.0, 0.0),
            doubleArrayOf(0.0, 1.0, 0.0),
            doubleArrayOf(0.0, 0.0, 1.0),
            doubleArrayOf(0.0, 0.6, 0.8),
            doubleArrayOf(0.0, 0.6, -0.8),
            doubleArrayOf(0.6, -0.8, 0.0),
            doubleArrayOf(-0.48, 0.6, 0.64)
        )
        for (axis in axes) {
            for (angle in listOf(1e-3, 1.0, 3.0, PI)) {
                val rotation = rotationFromVector(DoubleArray(3) { axis[it] * angle })
                val back = rotationFromVector(vectorFromRotation(rotation))
                assertArrayEquals("$angle about ${axis.toList()}", rotation, back, 1e-9)
            }
        }
        val none = rotationFromVector(DoubleArray(3))
        assertArrayEquals(DoubleArray(3), vectorFromRotation(none), 0.0)
    }

    @Test
    fun `the mirror exchanges each landmark with one, and back`() {
        assertEquals((0 until NUM_LANDMARKS).toList(), MIRROR.map { MIRROR[it] })
        assertEquals(LEFT_PUPIL, MIRROR[RIGHT_PUPIL])
        assertEquals(NOSE_TIP, MIRROR[NOSE_TIP])
        assertEquals(NUM_LANDMARKS - 3, FACE_PARTS.last().last)
    }
}
