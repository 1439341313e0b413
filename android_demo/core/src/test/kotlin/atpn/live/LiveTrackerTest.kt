package atpn.live

import atpn.core.FakeEngine
import atpn.core.Source
import atpn.core.blackFrame
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class LiveTrackerTest {
    private val alignment = FakeEngine.alignment()
    private val detection = FakeEngine.detection()
    private val live = LiveTracker(alignment, detection)
    private val frame = blackFrame(64, 48)

    private fun next(rotationDeg: Int, index: Int, isFront: Boolean = false): LiveFrame =
        live.process(frame, rotationDeg, isFront, 40_000_000L * index)

    @Test
    fun `follows a face, and starts anew where the frames turn`() {
        assertEquals(Source.DETECTED, next(0, 0).faces.single().source)
        assertEquals(Source.TRACKED, next(0, 1).faces.single().source)
        val turned = next(90, 2)
        assertEquals(Source.DETECTED, turned.faces.single().source)
        assertEquals(-Math.PI / 2.0, turned.faces.single().roi.rotationRad, 1e-9)
        assertEquals(Source.TRACKED, next(90, 3).faces.single().source)
        assertEquals(Source.DETECTED, next(90, 4, isFront = true).faces.single().source)
    }

    @Test
    fun `says what is needed to draw, and how fast it was`() {
        next(270, 0, isFront = true)
        val shown = next(270, 1, isFront = true)
        assertEquals(listOf(64, 48, 270), listOf(shown.width, shown.height, shown.rotationDeg))
        assertTrue(shown.isMirrored)
        assertEquals(25.0, shown.framesPerSecond, 1e-6)
        assertTrue(shown.frameMs >= shown.networkMs && shown.networkMs >= 0.0)
    }

    @Test
    fun `closes its engines`() {
        live.close()
        assertTrue(alignment.isClosed && detection.isClosed)
    }

    @Test
    fun `a median forgets what is old, and one outlier does not move it`() {
        val median = RunningMedian(3)
        val medians = listOf(5.0, 9.0, 6.0, 1.0, 1.0).map { median.add(it) }
        assertEquals(listOf(5.0, 9.0, 6.0, 6.0, 1.0), medians)
    }
}
