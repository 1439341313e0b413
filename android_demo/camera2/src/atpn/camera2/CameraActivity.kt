package atpn.camera2

import android.Manifest
import android.app.Activity
import android.content.pm.PackageManager
import android.os.Bundle
import android.os.Handler
import android.os.HandlerThread
import android.view.Surface
import android.view.View
import android.view.WindowManager
import atpn.core.AtpnError
import atpn.live.LiveTracker
import atpn.live.ScreenState
import atpn.shared.LiteRtEngine
import atpn.shared.loadLiveTracker

private const val PERMISSION_REQUEST = 1
private const val PRECISION = "float16"

/** The one screen: the camera's picture with faces; a touch changes the camera. */
class CameraActivity : Activity(), CameraListener, View.OnClickListener {
    private lateinit var view: FaceView
    private lateinit var thread: HandlerThread
    private lateinit var handler: Handler // of the thread that works on frames
    private var isFront = true // touched on the handler's thread alone, as all below
    private var camera: CameraSource? = null
    private var tracker: LiveTracker? = null

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        view = FaceView(this)
        view.setOnClickListener(this)
        setContentView(view)
        thread = HandlerThread("inference")
        thread.start()
        handler = Handler(thread.looper)
        if (!isAllowed()) {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION_REQUEST)
        }
    }

    override fun onResume() {
        super.onResume()
        if (isAllowed()) {
            openCamera()
        }
    }

    override fun onPause() {
        super.onPause()
        handler.post { closeCamera() }
    }

    override fun onDestroy() {
        super.onDestroy()
        handler.post { tracker?.close() }
        thread.quitSafely()
    }

    override fun onRequestPermissionsResult(code: Int, names: Array<String>, results: IntArray) {
        if (!isAllowed()) {
            view.show(ScreenState.NoPermission) // onResume() comes after this and opens otherwise
        }
    }

    override fun onClick(clicked: View) {
        if (!isAllowed()) {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION_REQUEST)
            return
        }
        handler.post { isFront = !isFront }
        openCamera()
    }

    override fun onFrame(frame: CameraFrame) {
        val tracker = this.tracker ?: return
        try {
            val live = tracker.process(
                frame.frame, frame.rotationDeg, isFront, frame.timestampNs, frame.arrivalNs
            )
            val picture = FaceView.bitmapOf(frame.frame)
            runOnUiThread { view.show(ScreenState.Running(live), picture) }
        } catch (error: AtpnError) {
            onCameraFailed(error.message ?: error.toString())
            closeCamera()
        }
    }

    override fun onCameraFailed(reason: String) {
        runOnUiThread { view.show(ScreenState.Failed(reason)) }
    }

    private fun isAllowed(): Boolean =
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun openCamera() {
        view.show(ScreenState.Starting)
        val displayDeg = when (windowManager.defaultDisplay.rotation) {
            Surface.ROTATION_90 -> 90
            Surface.ROTATION_180 -> 180
            Surface.ROTATION_270 -> 270
            else -> 0
        }
        handler.post {
            closeCamera()
            if (tracker == null) {
                tracker = loadTracker()
            }
            if (tracker != null) {
                camera = CameraSource(this, isFront, displayDeg, handler, this)
                camera?.open()
            }
        }
    }

    private fun closeCamera() {
        camera?.close()
        camera = null
    }

    /** Null where it cannot be had; the screen says why. */
    private fun loadTracker(): LiveTracker? = try {
        loadLiveTracker(assets, LiteRtEngine.Factory(), PRECISION)
    } catch (error: AtpnError) {
        onCameraFailed(error.message ?: error.toString())
        null
    }
}
