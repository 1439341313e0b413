package atpn.app

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import atpn.core.AtpnError
import atpn.core.Frame
import atpn.live.LiveTracker
import atpn.live.ScreenState

/**
 * Runs the tracker on the camera's frames, on the thread that CameraX calls it on.
 *
 * @param isFront whether the frames are of the front camera.
 * @param tracker null until the networks are loaded.
 * @param show is told what came.
 */
class FrameAnalyzer(
    private val isFront: Boolean,
    private val tracker: () -> LiveTracker?,
    private val show: (ScreenState) -> Unit
) : ImageAnalysis.Analyzer {
    private var rgba = ByteArray(0)

    override fun analyze(image: ImageProxy) {
        val arrivalNs = System.nanoTime()
        val live = tracker()
        if (live == null) {
            image.close()
            return
        }
        val rotationDeg = image.imageInfo.rotationDegrees
        val timestampNs = image.imageInfo.timestamp
        val frame = image.use { toFrame(it) } // the camera may write its next frame from here on
        try {
            val shown = live.process(frame, rotationDeg, isFront, timestampNs, arrivalNs)
            show(ScreenState.Running(shown))
        } catch (error: AtpnError) {
            show(ScreenState.Failed(error.message ?: error.toString()))
        }
    }

    private fun toFrame(image: ImageProxy): Frame {
        val plane = image.planes[0] // RGBA_8888 has one
        val size = plane.buffer.remaining()
        if (rgba.size != size) {
            rgba = ByteArray(size)
        }
        plane.buffer.get(rgba)
        return Frame(image.width, image.height, rgba, plane.rowStride)
    }
}
