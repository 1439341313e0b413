package atpn.camera2

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import android.view.View
import atpn.core.Frame
import atpn.live.LiveFrame
import atpn.live.ScreenState
import atpn.live.ViewMapping
import atpn.shared.FacePainter
import java.nio.ByteBuffer

private const val TEXT_SP = 14f
private const val MARGIN_DP = 16f

/** Shows the frame that was worked on with its faces: picture and lines are of the same moment. */
class FaceView(context: Context) : View(context) {
    private val density = resources.displayMetrics.density
    private val painter = FacePainter(density)
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        textSize = TEXT_SP * resources.displayMetrics.scaledDensity
        setShadowLayer(4f, 0f, 0f, Color.BLACK)
    }
    private val toView = Matrix()
    private var state: ScreenState = ScreenState.Starting
    private var picture: Bitmap? = null

    /** Show what came; [picture] belongs to a running state. */
    fun show(state: ScreenState, picture: Bitmap? = null) {
        this.state = state
        this.picture = picture
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        val state = this.state
        when (state) {
            is ScreenState.Running -> drawLive(canvas, state.live)
            is ScreenState.Failed -> drawText(canvas, state.message)
            is ScreenState.NoPermission ->
                drawText(canvas, context.getString(R.string.no_permission))
            is ScreenState.Starting -> drawText(canvas, context.getString(R.string.starting))
        }
    }

    private fun drawLive(canvas: Canvas, live: LiveFrame) {
        val picture = this.picture ?: return
        val map = ViewMapping.of(
            live.width, live.height, live.rotationDeg, live.isMirrored, width, height
        )
        // A bitmap's pixel 0 reaches from 0 to 1, a frame's from -0.5 to 0.5.
        val startX = map.c - 0.5f * (map.a + map.b)
        val startY = map.f - 0.5f * (map.d + map.e)
        toView.setValues(floatArrayOf(map.a, map.b, startX, map.d, map.e, startY, 0f, 0f, 1f))
        canvas.drawBitmap(picture, toView, smooth)
        painter.draw(canvas, live, map)
        drawText(
            canvas,
            context.getString(R.string.latency, live.frameMs, live.networkMs, live.framesPerSecond)
        )
    }

    private fun drawText(canvas: Canvas, line: String) {
        val margin = MARGIN_DP * density
        canvas.drawText(line, margin, margin + text.textSize, text)
    }

    companion object {
        /** The frame as a picture of its own. */
        fun bitmapOf(frame: Frame): Bitmap {
            val bitmap = Bitmap.createBitmap(frame.width, frame.height, Bitmap.Config.ARGB_8888)
            bitmap.copyPixelsFromBuffer(ByteBuffer.wrap(frame.rgba))
            return bitmap
        }
    }
}
