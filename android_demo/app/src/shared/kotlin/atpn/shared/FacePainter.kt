package atpn.shared

import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path
import atpn.core.FACE_PARTS
import atpn.core.Face
import atpn.core.HeadPose
import atpn.core.NOSE_TIP
import atpn.live.LiveFrame
import atpn.live.ViewMapping

private const val AXIS_LENGTH = 0.35f // of the face's region
private const val LINE_DP = 1.5f

/**
 * Draws faces: their landmarks as lines, the head's axes at the tip of the nose (red out of the
 * face, blue up, green to the subject's left).
 *
 * @param density pixels of the screen per dp.
 */
class FacePainter(density: Float) {
    private val line = paint(LINE_DP * density, Color.WHITE)
    private val axis = paint(2f * LINE_DP * density, Color.RED)
    private val path = Path()

    private fun paint(width: Float, paintColor: Int): Paint = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeCap = Paint.Cap.ROUND
        strokeJoin = Paint.Join.ROUND
        strokeWidth = width
        color = paintColor
    }

    /** @param mapping of the frame's pixels to those of the canvas. */
    fun draw(canvas: Canvas, frame: LiveFrame, mapping: ViewMapping) {
        for (face in frame.faces) {
            drawLines(canvas, mapping.map(face.landmarks))
            drawAxes(canvas, face, mapping)
        }
    }

    private fun drawLines(canvas: Canvas, points: FloatArray) {
        path.rewind()
        for (part in FACE_PARTS) {
            path.moveTo(points[2 * part.first], points[2 * part.first + 1])
            for (index in part.first + 1..part.last) {
                path.lineTo(points[2 * index], points[2 * index + 1])
            }
            if (part.isClosed) {
                path.close()
            }
        }
        canvas.drawPath(path, line)
    }

    private fun drawAxes(canvas: Canvas, face: Face, mapping: ViewMapping) {
        val length = AXIS_LENGTH * face.roi.size.toFloat()
        val x = face.landmarks[2 * NOSE_TIP]
        val y = face.landmarks[2 * NOSE_TIP + 1]
        for ((column, axisColor) in AXES) {
            // In the frame, so that turn and mirror of the view hold for the axes too. The matrix's
            // y points up, the frame's down.
            val endX = x + length * column(face.pose, 0)
            val endY = y - length * column(face.pose, 1)
            val ends = mapping.map(floatArrayOf(x, y, endX, endY))
            axis.color = axisColor
            canvas.drawLine(ends[0], ends[1], ends[2], ends[3], axis)
        }
    }

    private companion object {
        /** The head's axes in the frame: which column of the rotation. */
        val AXES = listOf<Pair<(HeadPose, Int) -> Float, Int>>(
            { pose: HeadPose, row: Int -> pose.rotation[3 * row].toFloat() } to Color.GREEN,
            { pose: HeadPose, row: Int -> pose.rotation[3 * row + 1].toFloat() } to Color.BLUE,
            { pose: HeadPose, row: Int -> pose.rotation[3 * row + 2].toFloat() } to Color.RED
        )
    }
}
