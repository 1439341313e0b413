/** Head rotations. Pure functions; a [Rotation] that was handed in is never written to. */

package atpn.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.max
import kotlin.math.sin
import kotlin.math.sqrt

private const val SMALLEST_TURN = 1e-5 // sine of an angle: below it there is no axis to speak of
private const val EPSILON = 2.220446049250313e-16 // of Double

/** The product a b. */
fun multiply(a: Rotation, b: Rotation): Rotation {
    val product = DoubleArray(9)
    for (row in 0 until 3) {
        for (column in 0 until 3) {
            var sum = 0.0
            for (inner in 0 until 3) {
                sum += a[3 * row + inner] * b[3 * inner + column]
            }
            product[3 * row + column] = sum
        }
    }
    return product
}

/** The inverse of a rotation. */
fun transpose(m: Rotation): Rotation =
    doubleArrayOf(m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8])

/** Head rotation from angles in radians: Rz(-roll) Rx(-pitch) Ry(-yaw). */
fun rotationFromEuler(yaw: Double, pitch: Double, roll: Double): Rotation {
    val cy = cos(-yaw)
    val sy = sin(-yaw)
    val cp = cos(-pitch)
    val sp = sin(-pitch)
    val cr = cos(-roll)
    val sr = sin(-roll)
    return doubleArrayOf(
        cr * cy - sr * sp * sy, -sr * cp, cr * sy + sr * sp * cy,
        sr * cy + cr * sp * sy, cr * cp, sr * sy - cr * sp * cy,
        -cp * sy, sp, cp * cy
    )
}

/** Head rotation after the picture was turned clockwise by an angle in radians. */
fun rotateInImage(rotation: Rotation, rotationRad: Double): Rotation =
    multiply(rotationFromEuler(0.0, 0.0, rotationRad), rotation)

/** Head rotation in the mirrored picture: yaw and roll change sign. */
fun mirrorRotation(m: Rotation): Rotation =
    doubleArrayOf(m[0], -m[1], -m[2], -m[3], m[4], m[5], -m[6], m[7], m[8])

/** Axis times angle, radians, of a rotation; zero for hardly any. */
fun vectorFromRotation(m: Rotation): DoubleArray {
    val x = (m[7] - m[5]) / 2.0
    val y = (m[2] - m[6]) / 2.0
    val z = (m[3] - m[1]) / 2.0
    val sine = length(x, y, z)
    val cosine = ((m[0] + m[4] + m[8] - 1.0) / 2.0).coerceIn(-1.0, 1.0)
    if (sine < SMALLEST_TURN) {
        return if (cosine > 0.0) DoubleArray(3) else halfTurnVector(m)
    }
    val factor = atan2(sine, cosine) / sine
    return doubleArrayOf(x * factor, y * factor, z * factor)
}

/** Rotation by an axis times an angle in radians (Rodrigues' formula). */
fun rotationFromVector(vector: DoubleArray): Rotation {
    val angle = length(vector[0], vector[1], vector[2])
    if (angle < EPSILON) {
        return doubleArrayOf(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    }
    val x = vector[0] / angle
    val y = vector[1] / angle
    val z = vector[2] / angle
    val c = cos(angle)
    val s = sin(angle)
    val d = 1.0 - c
    return doubleArrayOf(
        c + d * x * x, d * x * y - s * z, d * x * z + s * y,
        d * x * y + s * z, c + d * y * y, d * y * z - s * x,
        d * x * z - s * y, d * y * z + s * x, c + d * z * z
    )
}

internal fun length(x: Double, y: Double, z: Double): Double = sqrt(x * x + y * y + z * z)

/** Axis and angle of a half turn, whose axis stands in the diagonal up to signs. */
private fun halfTurnVector(m: Rotation): DoubleArray {
    val x = sqrt(max(0.0, (m[0] + 1.0) / 2.0))
    val y = sqrt(max(0.0, (m[4] + 1.0) / 2.0)) * (if (m[1] < 0.0) -1.0 else 1.0)
    var z = sqrt(max(0.0, (m[8] + 1.0) / 2.0)) * (if (m[2] < 0.0) -1.0 else 1.0)
    if (x < abs(y) && x < abs(z) && (m[5] > 0.0) != (y * z > 0.0)) {
        z = -z // with hardly any x, the signs of m[1] and m[2] are noise: m[5] tells
    }
    val factor = PI / length(x, y, z)
    return doubleArrayOf(x * factor, y * factor, z * factor)
}
