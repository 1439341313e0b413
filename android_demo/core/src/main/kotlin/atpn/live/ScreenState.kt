package atpn.live

import atpn.core.Face

/** What the screen shows; immutable, so that any thread may hold it. */
sealed class ScreenState {
    /** Networks are being loaded, or the camera opened. */
    object Starting : ScreenState()

    /** The camera was refused. */
    object NoPermission : ScreenState()

    /** Nothing works until the app is started again; [message] is for people. */
    class Failed(val message: String) : ScreenState()

    /** Frames come. */
    class Running(val live: LiveFrame) : ScreenState()
}

/**
 * What one frame gave, with all that is needed to draw it.
 *
 * @property faces in pixels of the frame as the camera gave it.
 * @property rotationDeg clockwise turn that puts the frame upright.
 * @property isMirrored the screen is to show the mirror image.
 * @property frameMs from the frame's arrival in the app to its result, median of the last frames.
 * @property networkMs of it in the alignment network, the same.
 * @property framesPerSecond by the camera's clock, frames that were left out not counted.
 */
class LiveFrame(
    val faces: List<Face>,
    val width: Int,
    val height: Int,
    val rotationDeg: Int,
    val isMirrored: Boolean,
    val frameMs: Double,
    val networkMs: Double,
    val framesPerSecond: Double
)
