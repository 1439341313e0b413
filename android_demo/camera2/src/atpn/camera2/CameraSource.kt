package atpn.camera2

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.util.Size
import atpn.core.Frame
import atpn.live.YuvPlane
import atpn.live.yuvToRgba
import java.io.Closeable
import kotlin.math.abs

private const val WANTED_PIXELS = 640 * 480
private const val FRAMES_IN_FLIGHT = 2 // one is worked on, one is the latest

/**
 * A picture of the camera.
 *
 * @property rotationDeg clockwise turn that puts it upright.
 */
class CameraFrame(
    val frame: Frame,
    val rotationDeg: Int,
    val timestampNs: Long,
    val arrivalNs: Long
)

/** What a camera tells; all of it on the handler's thread. */
interface CameraListener {
    /** The frame's bytes are used again after the call. */
    fun onFrame(frame: CameraFrame)

    fun onCameraFailed(reason: String)
}

/**
 * One camera, opened. Frames that come while the listener works are left out, but for the latest.
 *
 * @param handler of the thread that works on frames.
 * @param displayDeg how far the screen is turned from its natural position, counter-clockwise: 0,
 *     90, 180, 270, see `Display.getRotation`.
 */
class CameraSource(
    context: Context,
    private val isFront: Boolean,
    private val displayDeg: Int,
    private val handler: Handler,
    private val listener: CameraListener
) : Closeable {
    private val manager = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private var isClosed = false // touched on the handler's thread alone, as all below
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null
    private var rotationDeg = 0
    private var rgba = ByteArray(0)

    /** Open it; what goes wrong is told to the listener. The permission has to be there. */
    @SuppressLint("MissingPermission")
    fun open() {
        try {
            val id = manager.cameraIdList.firstOrNull { isFacing(it) }
            if (id == null) {
                val side = if (isFront) "front" else "back"
                listener.onCameraFailed("expected a $side camera, there is none")
                return
            }
            val facts = manager.getCameraCharacteristics(id)
            rotationDeg = uprightTurn(facts.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0)
            val size = chooseSize(facts)
            val images = ImageReader.newInstance(
                size.width, size.height, ImageFormat.YUV_420_888, FRAMES_IN_FLIGHT
            )
            images.setOnImageAvailableListener({ source -> onImage(source) }, handler)
            reader = images
            manager.openCamera(id, Opened(images), handler)
        } catch (error: CameraAccessException) {
            listener.onCameraFailed("the camera cannot be used: ${error.message}")
        }
    }

    override fun close() {
        isClosed = true
        device?.close()
        reader?.close()
    }

    private fun isFacing(id: String): Boolean {
        val wanted =
            if (isFront) CameraCharacteristics.LENS_FACING_FRONT
            else CameraCharacteristics.LENS_FACING_BACK
        return manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING) == wanted
    }

    private fun uprightTurn(sensorDeg: Int): Int =
        if (isFront) (sensorDeg + displayDeg) % 360 else (sensorDeg - displayDeg + 360) % 360

    private fun chooseSize(facts: CameraCharacteristics): Size {
        val map = facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
        val sizes = map?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
        return sizes.sortedBy { abs(it.width * it.height - WANTED_PIXELS) }.firstOrNull()
            ?: Size(640, 480)
    }

    private fun onImage(source: ImageReader) {
        val arrivalNs = System.nanoTime()
        val image = (if (isClosed) null else source.acquireLatestImage()) ?: return
        val frame = try {
            toFrame(image)
        } finally {
            image.close()
        }
        listener.onFrame(CameraFrame(frame, rotationDeg, image.timestamp, arrivalNs))
    }

    private fun toFrame(image: Image): Frame {
        val (width, height) = image.width to image.height
        if (rgba.size != 4 * width * height) {
            rgba = ByteArray(4 * width * height)
        }
        val (y, u, v) = image.planes.map { YuvPlane(it.buffer, it.rowStride, it.pixelStride) }
        yuvToRgba(width, height, y, u, v, rgba)
        return Frame(width, height, rgba)
    }

    private inner class Opened(private val images: ImageReader) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (isClosed) {
                camera.close()
                return
            }
            device = camera
            val surfaces = listOf(images.surface)
            try {
                camera.createCaptureSession(surfaces, Configured(camera, images), handler)
            } catch (error: CameraAccessException) {
                listener.onCameraFailed("the camera cannot be used: ${error.message}")
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            listener.onCameraFailed("another app took the camera")
        }

        override fun onError(camera: CameraDevice, error: Int) {
            camera.close()
            listener.onCameraFailed("the camera failed with error $error")
        }
    }

    private inner class Configured(
        private val camera: CameraDevice,
        private val images: ImageReader
    ) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            if (isClosed) {
                return
            }
            try {
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                request.addTarget(images.surface)
                request.set(
                    CaptureRequest.CONTROL_AF_MODE,
                    CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_VIDEO
                )
                session.setRepeatingRequest(request.build(), null, handler)
            } catch (error: CameraAccessException) {
                listener.onCameraFailed("the camera cannot be used: ${error.message}")
            }
        }

        override fun onConfigureFailed(session: CameraCaptureSession) {
            listener.onCameraFailed("the camera does not give pictures of this kind")
        }
    }
}
