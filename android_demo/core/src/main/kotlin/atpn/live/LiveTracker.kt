package atpn.live

import atpn.core.FaceTracker
import atpn.core.Frame
import atpn.core.InferenceEngine
import atpn.core.TrackerConfig
import java.io.Closeable

private const val NS_PER_S = 1e9

/**
 * The tracker behind a camera: makes a new one where the frames change their kind, keeps
 * statistics.
 *
 * Belongs to one thread, the one that works on frames. The camera has to leave frames out while it
 * is busy (CameraX: `STRATEGY_KEEP_ONLY_LATEST`; ImageReader: `acquireLatestImage`), so that what
 * is shown is never older than one frame's work.
 *
 * @param alignment runs the model "atpn"; closed with this.
 * @param detection runs the model "detector"; closed with this.
 * @param config options; `rotationDeg` follows the frames.
 */
class LiveTracker(
    private val alignment: InferenceEngine,
    private val detection: InferenceEngine,
    private val config: TrackerConfig = TrackerConfig()
) : Closeable {
    private var kind: List<Any>? = null // of the frames: another one is another video
    private var tracker = FaceTracker(alignment, detection, config)
    private var frameMs = RunningMedian()
    private var networkMs = RunningMedian()
    private var intervalS = RunningMedian()
    private var lastS: Double? = null

    /**
     * Follow the faces into a frame.
     *
     * @param rotationDeg clockwise turn that puts the frame upright: 0, 90, 180, 270.
     * @param isFrontCamera its picture is shown mirrored. (The frame itself is not.)
     * @param timestampNs of the frame, by the camera's clock.
     * @param arrivalNs when the frame came into the app, by `System.nanoTime`.
     * @throws atpn.core.AtpnError the engine failed.
     */
    fun process(
        frame: Frame,
        rotationDeg: Int,
        isFrontCamera: Boolean,
        timestampNs: Long,
        arrivalNs: Long = System.nanoTime()
    ): LiveFrame {
        val kindNow = listOf(frame.width, frame.height, rotationDeg, isFrontCamera)
        if (kindNow != kind) {
            tracker = FaceTracker(alignment, detection, config.copy(rotationDeg = rotationDeg))
            intervalS = RunningMedian()
            lastS = null
            kind = kindNow
        }
        val nowS = timestampNs / NS_PER_S
        val result = tracker.track(frame, nowS)
        val medianS = lastS?.let { intervalS.add(nowS - it) }
        lastS = nowS
        return LiveFrame(
            result.faces,
            frame.width,
            frame.height,
            rotationDeg,
            isFrontCamera,
            frameMs.add((System.nanoTime() - arrivalNs) / 1e6),
            networkMs.add(result.timings.networkMs),
            if (medianS == null || medianS <= 0.0) 0.0 else 1.0 / medianS
        )
    }

    override fun close() {
        alignment.close()
        detection.close()
    }
}
