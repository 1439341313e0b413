/**
 * The 98-point landmark scheme of WFLW. "Right" and "left" are the subject's: the right eye is on
 * the left side of the picture.
 *
 * Source: Wu et al., "Look at Boundary", CVPR 2018.
 */

package atpn.core

const val NUM_LANDMARKS = 98
const val NOSE_TIP = 54
const val RIGHT_PUPIL = 96
const val LEFT_PUPIL = 97

/** A polyline through landmarks [first] to [last], both included. */
class FacePart(val name: String, val first: Int, val last: Int, val isClosed: Boolean)

/** Polylines that draw a face. */
val FACE_PARTS: List<FacePart> = listOf(
    FacePart("contour", 0, 32, false), // right ear, chin, left ear
    FacePart("right eyebrow", 33, 41, true),
    FacePart("left eyebrow", 42, 50, true),
    FacePart("nose bridge", 51, 54, false),
    FacePart("nose base", 55, 59, false),
    FacePart("right eye", 60, 67, true),
    FacePart("left eye", 68, 75, true),
    FacePart("outer lips", 76, 87, true),
    FacePart("inner lips", 88, 95, true)
)

/** Landmark i of a mirrored picture is landmark MIRROR[i] of the original. */
internal val MIRROR: IntArray = (
    (32 downTo 0).toList() + // contour
        listOf(46, 45, 44, 43, 42, 50, 49, 48, 47) + // right brow <- left brow
        listOf(37, 36, 35, 34, 33, 41, 40, 39, 38) + // left brow <- right brow
        listOf(51, 52, 53, 54) + // nose bridge: on the axis
        listOf(59, 58, 57, 56, 55) + // nose base
        listOf(72, 71, 70, 69, 68, 75, 74, 73) + // right eye <- left eye
        listOf(64, 63, 62, 61, 60, 67, 66, 65) + // left eye <- right eye
        listOf(82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83) + // outer lips
        listOf(92, 91, 90, 89, 88, 95, 94, 93) + // inner lips
        listOf(97, 96) // pupils
    ).toIntArray()
