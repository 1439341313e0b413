/** Where a place of a camera's frame lies on the screen. */

package atpn.live

import atpn.core.Landmarks
import kotlin.math.max
import kotlin.math.min

/** How a picture is put into a view of another shape; centred in both. */
enum class Scale {
    /** The view is filled; what does not fit is cut off. */
    FILL,

    /** The whole picture is shown; bars stay at two sides. */
    FIT
}

/**
 * The affine map from frame pixels (centres at integers) to a view that shows the frame upright:
 * x' = a x + b y + c, y' = d x + e y + f, in pixels of the view from its corner.
 */
class ViewMapping private constructor(
    val a: Float,
    val b: Float,
    val c: Float,
    val d: Float,
    val e: Float,
    val f: Float
) {
    /** Pixels of the view per pixel of the frame. */
    val scale: Float get() = max(max(a, -a), max(b, -b)) // quarter turns: one of the two is 0

    /** Move points, x and y one after the other. */
    fun map(points: Landmarks): FloatArray {
        val moved = FloatArray(points.size)
        for (index in points.indices step 2) {
            val x = points[index]
            val y = points[index + 1]
            moved[index] = a * x + b * y + c
            moved[index + 1] = d * x + e * y + f
        }
        return moved
    }

    companion object {
        /**
         * @param frameWidth of the frame as the camera gives it, pixels; so is frameHeight.
         * @param rotationDeg clockwise turn that puts the frame upright: 0, 90, 180, 270.
         * @param isMirrored the view shows the mirror image, as is usual for front cameras.
         * @param viewWidth pixels; so is viewHeight.
         */
        fun of(
            frameWidth: Int,
            frameHeight: Int,
            rotationDeg: Int,
            isMirrored: Boolean,
            viewWidth: Int,
            viewHeight: Int,
            scale: Scale = Scale.FILL
        ): ViewMapping {
            require(frameWidth > 0 && frameHeight > 0) {
                "expected a frame of at least one pixel, got $frameWidth x $frameHeight"
            }
            val isTurned = rotationDeg == 90 || rotationDeg == 270
            val width = if (isTurned) frameHeight else frameWidth
            val height = if (isTurned) frameWidth else frameHeight
            // Upright picture, pixels from its corner: (cos x - sin y + left, sin x + cos y + top).
            val (cos, sin) = when (rotationDeg) {
                0 -> 1f to 0f
                90 -> 0f to 1f
                180 -> -1f to 0f
                270 -> 0f to -1f
                else -> throw IllegalArgumentException(
                    "expected rotationDeg to be 0 or 90 or 180 or 270, got $rotationDeg"
                )
            }
            val left = if (rotationDeg == 90 || rotationDeg == 180) width.toFloat() else 0f
            val top = if (rotationDeg == 180 || rotationDeg == 270) height.toFloat() else 0f
            val ratioX = viewWidth.toFloat() / width
            val ratioY = viewHeight.toFloat() / height
            val s = if (scale == Scale.FILL) max(ratioX, ratioY) else min(ratioX, ratioY)
            val flip = if (isMirrored) -s else s
            val startX = viewWidth / 2f - flip * width / 2f
            val startY = viewHeight / 2f - s * height / 2f
            val half = 0.5f // the centre of pixel 0 is half a pixel from the corner
            return ViewMapping(
                flip * cos,
                -flip * sin,
                startX + flip * (left + half * (cos - sin)),
                s * sin,
                s * cos,
                startY + s * (top + half * (sin + cos))
            )
        }
    }
}
