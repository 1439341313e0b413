package atpn.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What a caller may rely on beyond the golden vectors. */
class FaceTrackerTest {
    private val frame = blackFrame(640, 480)
    private val world = World(listOf(WorldFace(300.0, 200.0, 100.0)))

    private class Nobody : Detector {
        override fun detect(frame: Frame): List<Detection> = emptyList()
    }

    /** A network that gives what a function of the region and the mirror gives. */
    private class Network(val look: (Roi, Boolean) -> AlignmentOutputs) : AlignmentNetwork {
        override fun run(frame: Frame, roi: Roi, mirrored: Boolean) = look(roi, mirrored)
    }

    @Test
    fun `goes on after a frame that failed, its tracks as they were`() {
        var fails = false
        val network = Network { roi, mirrored ->
            if (fails) throw AtpnError("the engine is gone") else world.run(frame, roi, mirrored)
        }
        val tracker = FaceTracker(network, world)
        tracker.track(frame, 0.0)
        fails = true
        assertThrows(AtpnError::class.java) { tracker.track(frame, 0.1) }
        fails = false
        val face = tracker.track(frame, 0.2).faces.single()
        assertEquals(0 to Source.TRACKED, face.trackId to face.source)
    }

    @Test
    fun `a track that slides over to another face gives way to the one that was there`() {
        val left = WorldFace(300.0, 200.0, 100.0)
        val right = WorldFace(340.0, 200.0, 100.0) // in the region of the left one too
        val crowd = World(listOf(left, right))
        val tracker = FaceTracker(crowd, crowd, TrackerConfig(maxFaces = 2))
        assertEquals(listOf(0, 1), tracker.track(frame, 0.0).faces.map { it.trackId })
        crowd.faces = listOf(right) // the left one is hidden: both tracks now see the right one
        val result = tracker.track(frame, 0.04)
        assertEquals(listOf(1), result.faces.map { it.trackId })
        assertEquals(listOf(0), result.lostIds)
    }

    @Test
    fun `reset starts ids at 0 again`() {
        val tracker = FaceTracker(world, world, TrackerConfig(reattachS = 0.0))
        tracker.track(frame, 0.0)
        val faces = world.faces
        world.faces = emptyList()
        assertEquals(listOf(0), tracker.track(frame, 1.0).lostIds)
        world.faces = faces
        assertEquals(1, tracker.track(frame, 2.0).faces.single().trackId)
        tracker.reset()
        assertEquals(0, tracker.track(frame, 3.0).faces.single().trackId)
    }

    @Test
    fun `detect leaves the tracks alone`() {
        val tracker = FaceTracker(world, world)
        assertEquals(-1, tracker.detect(frame).faces.single().trackId)
        assertEquals(Source.DETECTED, tracker.track(frame).faces.single().source)
    }

    @Test
    fun `align looks where it is told, gate or not`() {
        val tracker = FaceTracker(world, Nobody())
        val rois = listOf(Roi(300.0, 200.0, 150.0), Roi(50.0, 50.0, 60.0))
        val (hit, miss) = tracker.align(frame, rois)
        assertEquals(1f to 0f, hit.presence to miss.presence)
        assertEquals(350f, hit.landmarks[0], 1e-3f) // centre + half the size: the turn 0
    }

    @Test
    fun `a turned frame turns the region, and the pose comes back turned`() {
        val seen = ArrayList<Double>()
        val network = Network { roi, _ ->
            seen.add(roi.rotationRad)
            circle(0.5, 0.5, 2.0 / 3.0, 1.0)
        }
        val tracker = FaceTracker(network, Nobody(), TrackerConfig(rotationDeg = 90))
        val face = tracker.align(frame, listOf(Roi(300.0, 200.0, 150.0))).single()
        assertEquals(-Math.PI / 2.0, seen.single(), 1e-12)
        assertEquals(-90.0, face.pose.rollDeg, 1e-9)
    }

    @Test
    fun `two views average the crop and its mirror image, also of an engine that reuses arrays`() {
        val engine = FakeEngine.alignment(circle(0.5, 0.5, 2.0 / 3.0, 0.8))
        val tracker = FaceTracker(engine, FakeEngine.detection(), TrackerConfig(views = 2))
        val face = tracker.align(frame, listOf(Roi(300.0, 200.0, 150.0))).single()
        assertEquals(2, engine.inputs.size)
        assertEquals(0.8f, face.presence, 1e-6f)

        val views = ArrayList<Boolean>()
        val network = Network { _, mirrored ->
            views.add(mirrored)
            circle(0.5, 0.5, 2.0 / 3.0, if (mirrored) 0.9 else 0.7)
        }
        val averaging = FaceTracker(network, Nobody(), TrackerConfig(views = 2))
        assertEquals(
            0.8f, averaging.align(frame, listOf(Roi(300.0, 200.0, 150.0))).single().presence, 1e-6f
        )
        assertEquals(listOf(false, true), views)
    }

    @Test
    fun `numbers that are not finite lose the face and do not stop the tracker`() {
        val network = Network { _, _ -> circle(Double.NaN, 0.5, 0.5, 1.0) }
        assertEquals(emptyList<Face>(), FaceTracker(network, world).track(frame).faces)
        assertThrows(AtpnError::class.java) {
            FaceTracker(network, world).align(frame, listOf(Roi(3.0, 3.0, 4.0)))
        }
    }

    @Test
    fun `results are the caller's to write to`() {
        val tracker = FaceTracker(world, world, TrackerConfig(smoothing = null))
        val face = tracker.track(frame).faces.single()
        assertNotSame(face.landmarks, face.rawLandmarks)
        assertArrayEquals(face.rawLandmarks, face.landmarks, 0f)
    }

    @Test
    fun `refuses a time that is none`() {
        val error = assertThrows(InvalidFrameError::class.java) {
            FaceTracker(world, world).track(frame, Double.NaN)
        }
        assertEquals("expected timestampS as finite seconds, got NaN", error.message)
    }

    @Test
    fun `refuses frames that are none`() {
        for (make in listOf(
            { Frame(2, 2, ByteArray(15)) },
            { Frame(0, 2, ByteArray(0)) },
            { Frame(2, 2, ByteArray(64), 7) }
        )) {
            assertThrows(InvalidFrameError::class.java) { make() }
        }
        Frame(2, 2, ByteArray(12 + 8), 12) // room behind the last row is not needed
    }

    @Test
    fun `options say what they expect`() {
        val wrong = mapOf<() -> Any, String>(
            { TrackerConfig(maxFaces = 0) } to "maxFaces to be a whole number from 1, got 0",
            { TrackerConfig(presenceThreshold = 1.5) } to
                "presenceThreshold to be a finite number >= 0.0, <= 1.0, got 1.5",
            { TrackerConfig(sameFaceIou = 0.0) } to
                "sameFaceIou to be a finite number > 0, <= 1.0, got 0.0",
            { TrackerConfig(retryScale = Double.NaN) } to
                "retryScale to be a finite number >= 1.0, got NaN",
            { TrackerConfig(views = 3) } to "views to be 1 or 2, got 3",
            { TrackerConfig(rotationDeg = 45) } to
                "rotationDeg to be 0 or 90 or 180 or 270, got 45",
            { DetectorConfig(tiles = 0) } to "tiles to be a whole number from 1, got 0",
            { SmoothingConfig(minCutoffHz = 0.0) } to
                "minCutoffHz to be a finite number > 0, got 0.0"
        )
        for ((make, message) in wrong) {
            val error = assertThrows(message, ConfigError::class.java) { make() }
            assertEquals("expected $message", error.message)
        }
    }

    @Test
    fun `hysteresis spans the threshold, within 0 and 1`() {
        val config = TrackerConfig(presenceThreshold = 0.98, presenceHysteresis = 0.05)
        assertEquals(1.0, config.acceptPresence, 0.0)
        assertEquals(0.93, config.keepPresence, 1e-12)
        assertTrue(TrackerConfig(presenceThreshold = 0.0).keepPresence == 0.0)
    }
}
