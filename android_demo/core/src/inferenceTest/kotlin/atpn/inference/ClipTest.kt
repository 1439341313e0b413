package atpn.inference

import atpn.core.Face
import atpn.core.FaceTracker
import atpn.core.Fields
import atpn.core.TrackerConfig
import atpn.core.fieldsOf
import atpn.core.flatOf
import atpn.core.intOf
import atpn.core.itemsOf
import atpn.core.nameOf
import atpn.core.numberOf
import atpn.core.numbersOf
import atpn.core.roiOf
import atpn.core.textOf
import kotlin.math.abs
import kotlin.math.max
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

private const val TOLERANCE_PX = 1.0
private const val TOLERANCE_DEG = 1.0
private const val TOLERANCE_PRESENCE = 0.01
private const val INT8_TOLERANCE = 0.01 // of the region's side

/** The shipped networks on every frame of the bundled clip, against the Python runtime. */
class ClipTest {
    @Test
    fun `tracks every frame as Python does, smoothing included`() {
        val worst = Worst()
        var withFace = 0
        Clip().use { clip ->
            val reference = clip.reference("float32")
            withEngines("float32") { alignment, detector ->
                val tracker = FaceTracker(alignment, detector)
                for (index in 0 until clip.size) {
                    val result = tracker.track(clip.frame(index), index / clip.framesPerSecond)
                    val wanted = reference[index]
                    val faces = itemsOf(wanted["faces"]).map { fieldsOf(it) }
                    val where = "frame $index"
                    assertEquals(where, faces.map { nameOf(it) }, result.faces.map { nameOf(it) })
                    assertEquals(
                        where, numbersOf(wanted["lostIds"]), result.lostIds.map { it.toDouble() }
                    )
                    assertEquals(where, wanted["detectorRan"], result.detectorRan)
                    result.faces.zip(faces).forEach { (face, other) -> worst.add(face, other) }
                    withFace += result.faces.size
                }
                // The clip shows a face, hides it, and shows it again: all three have to be met.
                assertTrue(withFace in 1 until clip.size)
            }
            println("${clip.size} frames, $withFace with a face, against Python: $worst")
        }
        assertTrue(worst.toString(), worst.landmarksPx < TOLERANCE_PX)
        assertTrue(worst.toString(), worst.rawLandmarksPx < TOLERANCE_PX)
        assertTrue(worst.toString(), worst.anglesDeg < TOLERANCE_DEG)
        assertTrue(worst.toString(), worst.presence < TOLERANCE_PRESENCE)
    }

    @Test
    fun `int8 sees what Python sees in the same regions`() {
        // Integer steps are coarse: one grey value of the crop may tip one. Over a sequence that
        // moves the regions, and the runs part; what one look gives is what can be compared.
        var worst = 0.0
        var looks = 0
        Clip().use { clip ->
            val reference = clip.reference("int8")
            withEngines("int8") { alignment, detector ->
                val tracker = FaceTracker(alignment, detector, TrackerConfig(smoothing = null))
                for (index in 0 until clip.size) {
                    val faces = itemsOf(reference[index]["faces"]).map { fieldsOf(it) }
                    val seen = tracker.align(clip.frame(index), faces.map { roiOf(it["roi"]) })
                    for ((face, other) in seen.zip(faces)) {
                        val moved = farthest(face.rawLandmarks, flatOf(other["rawLandmarks"]))
                        worst = max(worst, moved / face.roi.size)
                        looks += 1
                    }
                }
            }
        }
        val percent = "%.3f".format(100.0 * worst)
        println("int8, $looks regions, against Python: $percent % of their side")
        assertTrue(looks > 0)
        assertTrue("$worst", worst < INT8_TOLERANCE)
    }

    @Test
    fun `finds the face of a single picture`() {
        Clip().use { clip ->
            withEngines("float32") { alignment, detector ->
                val found = FaceTracker(alignment, detector).detect(clip.frame(0))
                val wanted = fieldsOf(itemsOf(clip.reference("float32")[0]["faces"])[0])
                assertEquals(1, found.faces.size)
                val raw = found.faces[0].rawLandmarks
                assertTrue(farthest(raw, flatOf(wanted["rawLandmarks"])) < TOLERANCE_PX)
                assertTrue(found.timings.networkMs > 0.0 && found.timings.detectorMs > 0.0)
            }
        }
    }

    private fun withEngines(precision: String, work: (OrtEngine, OrtEngine) -> Unit) {
        OrtEngine.load("atpn", precision).use { alignment ->
            OrtEngine.load("detector", precision).use { detector -> work(alignment, detector) }
        }
    }
}

private fun nameOf(face: Face): String = "${face.trackId} ${nameOf(face.source)}"

private fun nameOf(face: Fields): String = "${intOf(face["trackId"])} ${textOf(face["source"])}"

/** Largest differences over all faces. */
private class Worst {
    var landmarksPx = 0.0
    var rawLandmarksPx = 0.0
    var anglesDeg = 0.0
    var presence = 0.0

    fun add(face: Face, other: Fields) {
        landmarksPx = max(landmarksPx, farthest(face.landmarks, flatOf(other["landmarks"])))
        rawLandmarksPx =
            max(rawLandmarksPx, farthest(face.rawLandmarks, flatOf(other["rawLandmarks"])))
        val angles = listOf(face.pose.yawDeg, face.pose.pitchDeg, face.pose.rollDeg)
        val wanted = numbersOf(other["anglesDeg"])
        for (axis in angles.indices) {
            anglesDeg = max(anglesDeg, abs(angles[axis] - wanted[axis]))
        }
        presence = max(presence, abs(face.presence - numberOf(other["presence"])))
    }

    override fun toString(): String =
        "landmarks %.4f px, unsmoothed %.4f px, angles %.4f degrees, presence %.5f"
            .format(landmarksPx, rawLandmarksPx, anglesDeg, presence)
}

private fun farthest(a: FloatArray, b: FloatArray): Double {
    assertEquals(b.size, a.size)
    return a.indices.fold(0.0) { worst, index ->
        val difference = abs(a[index] - b[index]).toDouble()
        if (difference > worst || difference.isNaN()) difference else worst
    }
}
