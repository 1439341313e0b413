package atpn.app

import android.app.Application
import androidx.camera.core.CameraInfoUnavailableException
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.LifecycleOwner
import atpn.core.AtpnError
import atpn.live.LiveTracker
import atpn.live.ScreenState
import atpn.shared.LiteRtEngine
import atpn.shared.loadLiveTracker
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow

private const val PRECISION = "float16" // what app/build.gradle.kts puts into the assets

/** Camera, networks and what the screen shows; outlives a turned screen. */
class CameraViewModel(application: Application) : AndroidViewModel(application) {
    private val inference = Executors.newSingleThreadExecutor { work -> Thread(work, "inference") }
    private val mutableState = MutableStateFlow<ScreenState>(ScreenState.Starting)
    private val mutableIsFront = MutableStateFlow(true)
    private var provider: ProcessCameraProvider? = null // touched on the main thread alone
    private var analysis: ImageAnalysis? = null // the same
    private var tracker: LiveTracker? = null // touched on the inference thread alone

    /** What the screen shows; each value is immutable. */
    val state: StateFlow<ScreenState> = mutableState.asStateFlow()

    /** Which camera is asked for. */
    val isFront: StateFlow<Boolean> = mutableIsFront.asStateFlow()

    init {
        inference.execute {
            try {
                tracker = loadLiveTracker(application.assets, LiteRtEngine.Factory(), PRECISION)
            } catch (error: AtpnError) {
                mutableState.value = ScreenState.Failed(error.message ?: error.toString())
            }
        }
    }

    /** Take the other camera; the screen binds it. */
    fun switchCamera() {
        mutableIsFront.value = !mutableIsFront.value
    }

    /** The camera was refused. */
    fun onPermissionDenied() {
        mutableState.value = ScreenState.NoPermission
    }

    /**
     * Show the camera in a view and track in its frames, as long as the owner is started. The
     * permission has to be there.
     */
    fun bind(owner: LifecycleOwner, view: PreviewView, isFront: Boolean) {
        val context = getApplication<Application>()
        if (mutableState.value !is ScreenState.Failed) {
            mutableState.value = ScreenState.Starting
        }
        val future = ProcessCameraProvider.getInstance(context)
        future.addListener({
            try {
                provider = future.get()
                bindFirst(owner, view, isFront)
            } catch (error: ExecutionException) {
                mutableState.value = ScreenState.Failed(error.cause?.message ?: error.toString())
            } catch (error: CameraInfoUnavailableException) {
                mutableState.value = ScreenState.Failed(error.message ?: error.toString())
            }
        }, ContextCompat.getMainExecutor(context))
    }

    /** The camera that is asked for, or else the other one: some devices have one only. */
    private fun bindFirst(owner: LifecycleOwner, view: PreviewView, isFront: Boolean) {
        val cameras = provider ?: return
        cameras.unbindAll()
        val found = listOf(isFront, !isFront).firstOrNull { cameras.hasCamera(selector(it)) }
        if (found == null) {
            val message = getApplication<Application>().getString(R.string.no_camera)
            mutableState.value = ScreenState.Failed(message)
            return
        }
        val frames = analysis(view, found)
        cameras.bindToLifecycle(owner, selector(found), preview(view), frames)
        analysis = frames
    }

    /** The screen was turned; [rotation] as `Display.getRotation` gives it. */
    fun onDisplayTurned(rotation: Int) {
        analysis?.targetRotation = rotation
    }

    private fun selector(isFront: Boolean): CameraSelector =
        if (isFront) CameraSelector.DEFAULT_FRONT_CAMERA else CameraSelector.DEFAULT_BACK_CAMERA

    /** 4:3 for both: they then show the same field of view, and the overlay fits. */
    private fun resolution(): ResolutionSelector = ResolutionSelector.Builder()
        .setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)
        .build()

    private fun preview(view: PreviewView): Preview {
        val preview = Preview.Builder().setResolutionSelector(resolution()).build()
        preview.setSurfaceProvider(view.surfaceProvider)
        return preview
    }

    private fun analysis(view: PreviewView, isFront: Boolean): ImageAnalysis {
        val builder = ImageAnalysis.Builder()
            .setResolutionSelector(resolution())
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
        view.display?.let { builder.setTargetRotation(it.rotation) }
        val analysis = builder.build()
        val analyzer = FrameAnalyzer(isFront, { tracker }, { mutableState.value = it })
        analysis.setAnalyzer(inference, analyzer)
        return analysis
    }

    override fun onCleared() {
        provider?.unbindAll()
        inference.execute { tracker?.close() }
        inference.shutdown() // what was handed in is still done
    }
}
