package atpn.app

import android.Manifest
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.provider.Settings
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.view.PreviewView
import androidx.compose.foundation.Canvas
import androidx.compose.foundation.background
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.Button
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.DisposableEffect
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.graphics.drawscope.drawIntoCanvas
import androidx.compose.ui.graphics.nativeCanvas
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.unit.dp
import androidx.compose.ui.viewinterop.AndroidView
import androidx.core.content.ContextCompat
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.compose.LifecycleEventEffect
import androidx.lifecycle.compose.LocalLifecycleOwner
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import atpn.live.LiveFrame
import atpn.live.ScreenState
import atpn.live.ViewMapping
import atpn.shared.FacePainter

/** The camera with the faces over it, or what there is to say instead. */
@Composable
fun DemoScreen(model: CameraViewModel) {
    val context = LocalContext.current
    var isAllowed by remember { mutableStateOf(mayUseCamera(context)) }
    val request = rememberLauncherForActivityResult(
        ActivityResultContracts.RequestPermission()
    ) { granted ->
        isAllowed = granted
        if (!granted) {
            model.onPermissionDenied()
        }
    }
    LaunchedEffect(Unit) {
        if (!isAllowed) {
            request.launch(Manifest.permission.CAMERA)
        }
    }
    // It may have been allowed in the settings.
    LifecycleEventEffect(Lifecycle.Event.ON_RESUME) { isAllowed = mayUseCamera(context) }

    val state by model.state.collectAsStateWithLifecycle()
    Box(Modifier.fillMaxSize().background(Color.Black)) {
        if (isAllowed) {
            CameraPreview(model)
        }
        when (val shown = state) {
            is ScreenState.Running -> LiveOverlay(shown.live, model::switchCamera)
            is ScreenState.Failed -> Message(shown.message)
            is ScreenState.Starting -> Message(stringResource(R.string.starting))
            is ScreenState.NoPermission -> PermissionMessage(
                onAsk = { request.launch(Manifest.permission.CAMERA) },
                onSettings = { openSettings(context) }
            )
        }
    }
}

@Composable
private fun CameraPreview(model: CameraViewModel) {
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val isFront by model.isFront.collectAsStateWithLifecycle()
    val view = remember {
        PreviewView(context).apply { scaleType = PreviewView.ScaleType.FILL_CENTER }
    }
    AndroidView({ view }, Modifier.fillMaxSize())
    LaunchedEffect(owner, isFront) { model.bind(owner, view, isFront) }
    DisposableEffect(view) { // a half turn of the screen does not make the activity anew
        val displays = context.getSystemService(Context.DISPLAY_SERVICE) as DisplayManager
        val listener = object : DisplayManager.DisplayListener {
            override fun onDisplayAdded(displayId: Int) = Unit

            override fun onDisplayRemoved(displayId: Int) = Unit

            override fun onDisplayChanged(displayId: Int) {
                view.display?.let { model.onDisplayTurned(it.rotation) }
            }
        }
        displays.registerDisplayListener(listener, null)
        onDispose { displays.unregisterDisplayListener(listener) }
    }
}

@Composable
private fun LiveOverlay(live: LiveFrame, onSwitch: () -> Unit) {
    val density = LocalDensity.current.density
    val painter = remember(density) { FacePainter(density) }
    Canvas(Modifier.fillMaxSize()) {
        val mapping = ViewMapping.of(
            live.width,
            live.height,
            live.rotationDeg,
            live.isMirrored,
            size.width.toInt(),
            size.height.toInt()
        )
        drawIntoCanvas { painter.draw(it.nativeCanvas, live, mapping) }
    }
    Box(Modifier.fillMaxSize().safeDrawingPadding().padding(16.dp)) {
        Text(
            stringResource(R.string.latency, live.frameMs, live.networkMs, live.framesPerSecond),
            Modifier.align(Alignment.TopStart),
            color = Color.White
        )
        Button(onSwitch, Modifier.align(Alignment.BottomCenter)) {
            Text(stringResource(R.string.switch_camera))
        }
    }
}

@Composable
private fun Message(text: String) {
    Box(Modifier.fillMaxSize().safeDrawingPadding().padding(16.dp)) {
        Text(text, Modifier.align(Alignment.Center), color = Color.White)
    }
}

@Composable
private fun PermissionMessage(onAsk: () -> Unit, onSettings: () -> Unit) {
    Column(Modifier.fillMaxSize().safeDrawingPadding().padding(16.dp)) {
        Text(stringResource(R.string.no_permission), color = Color.White)
        Button(onAsk) { Text(stringResource(R.string.ask_again)) }
        // After two refusals Android does not ask any more.
        Button(onSettings) { Text(stringResource(R.string.open_settings)) }
    }
}

private fun mayUseCamera(context: Context): Boolean =
    ContextCompat.checkSelfPermission(context, Manifest.permission.CAMERA) ==
        PackageManager.PERMISSION_GRANTED

private fun openSettings(context: Context) {
    val app = Uri.fromParts("package", context.packageName, null)
    context.startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app))
}
