package atpn.inference

import atpn.core.END_TO_END
import atpn.core.FaceTracker
import atpn.core.Fields
import atpn.core.GoldenCase
import atpn.core.Repository
import atpn.core.TrackerConfig
import atpn.core.casesOf
import atpn.core.fieldsOf
import atpn.core.itemsOf
import atpn.core.nameOf
import atpn.core.numberOf
import atpn.core.rows
import atpn.core.textOf
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized

/** The golden stage of the shipped networks on the bundled clip. */
@RunWith(Parameterized::class)
class EndToEndTest(private val case: GoldenCase) {
    @Test
    fun matches() {
        assertNull(case.firstDifference(mapOf("frames" to track(case.inputs))))
    }

    private fun track(given: Fields): List<Any> {
        assertNull("this test tracks without smoothing", given["smoothing"])
        val count = itemsOf(case.expected["frames"]).size
        val rate = numberOf(given["frames_per_second"])
        return Clip().use { clip ->
            assertEquals(textOf(given["clip"]), clip.path)
            load("atpn", given).use { alignment ->
                load("detector", given).use { detector ->
                    val config = TrackerConfig(smoothing = null)
                    val tracker = FaceTracker(alignment, detector, config)
                    (0 until count).map { facesOf(tracker, clip, it, rate) }
                }
            }
        }
    }

    private fun load(model: String, given: Fields): OrtEngine =
        OrtEngine.load(model, "float32", textOf(fieldsOf(given[model])["sha256"]))

    private fun facesOf(tracker: FaceTracker, clip: Clip, index: Int, rate: Double): List<Fields> =
        tracker.track(clip.frame(index), index / rate).faces.map { face ->
            mapOf(
                "track_id" to face.trackId,
                "source" to nameOf(face.source),
                "presence" to face.presence,
                "rotation" to rows(face.pose.rotation, 3),
                "landmarks" to rows(face.landmarks, 2)
            )
        }

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun cases(): List<GoldenCase> = casesOf(Repository.golden, END_TO_END)
    }
}
