// Head rotations. Pure functions.

import Foundation

private let smallestTurn = 1e-5  // sine of an angle: below it a rotation has no axis to speak of

/// A 3x3 rotation matrix.
public struct Rotation: Sendable, Equatable {
    /// First, second and third row.
    public let rows: [SIMD3<Double>]

    public static let identity = Rotation(SIMD3(1, 0, 0), SIMD3(0, 1, 0), SIMD3(0, 0, 1))

    public init(_ first: SIMD3<Double>, _ second: SIMD3<Double>, _ third: SIMD3<Double>) {
        rows = [first, second, third]
    }

    /// The element in a row and a column, both from 0.
    public subscript(row: Int, column: Int) -> Double { rows[row][column] }

    /// The inverse.
    public var transposed: Rotation {
        Rotation(column(0), column(1), column(2))
    }

    private func column(_ index: Int) -> SIMD3<Double> {
        SIMD3(rows[0][index], rows[1][index], rows[2][index])
    }

    /// The matrix product.
    public static func * (a: Rotation, b: Rotation) -> Rotation {
        func row(_ weights: SIMD3<Double>) -> SIMD3<Double> {
            var sum: SIMD3<Double> = weights.x * b.rows[0]
            sum += weights.y * b.rows[1]
            sum += weights.z * b.rows[2]
            return sum
        }
        return Rotation(row(a.rows[0]), row(a.rows[1]), row(a.rows[2]))
    }
}

/// The orientation of a head.
///
/// Angles have the signs of 300W-LP and AFLW2000: `yawDeg > 0` the face turns to the left edge of
/// the image, `pitchDeg > 0` it looks up, `rollDeg > 0` it tilts clockwise in the image.
public struct HeadPose: Sendable, Equatable {
    /// Camera <- head, axes x right, y up, z towards the camera: Rz(-roll) Rx(-pitch) Ry(-yaw).
    public let rotation: Rotation

    public init(rotation: Rotation) { self.rotation = rotation }

    /// -180...180.
    public var yawDeg: Double { -degrees(atan2(-rotation[2, 0], rotation[2, 2])) }

    /// -90...90.
    public var pitchDeg: Double { -degrees(asin(min(1, max(-1, rotation[2, 1])))) }

    /// -180...180.
    public var rollDeg: Double { -degrees(atan2(-rotation[0, 1], rotation[1, 1])) }

    private func degrees(_ radians: Double) -> Double { radians * 180 / .pi }
}

/// Head rotation from angles in radians: Rz(-roll) Rx(-pitch) Ry(-yaw).
public func rotationFromEuler(yaw: Double, pitch: Double, roll: Double) -> Rotation {
    let (cy, sy) = (cos(-yaw), sin(-yaw))
    let (cp, sp) = (cos(-pitch), sin(-pitch))
    let (cr, sr) = (cos(-roll), sin(-roll))
    let aroundY = Rotation(SIMD3(cy, 0, sy), SIMD3(0, 1, 0), SIMD3(-sy, 0, cy))
    let aroundX = Rotation(SIMD3(1, 0, 0), SIMD3(0, cp, -sp), SIMD3(0, sp, cp))
    let aroundZ = Rotation(SIMD3(cr, -sr, 0), SIMD3(sr, cr, 0), SIMD3(0, 0, 1))
    return aroundZ * aroundX * aroundY
}

/// Head rotation after the picture was turned clockwise by an angle in radians.
public func rotateInImage(_ rotation: Rotation, rotationRad: Double) -> Rotation {
    rotationFromEuler(yaw: 0, pitch: 0, roll: rotationRad) * rotation
}

/// Head rotation in the mirrored picture: yaw and roll change sign.
public func mirrorRotation(_ rotation: Rotation) -> Rotation {
    let signs = SIMD3<Double>(-1, 1, 1)
    let rows = rotation.rows.map { $0 * signs }
    return Rotation(-rows[0], rows[1], rows[2])
}

/// Axis times angle (radians) of a rotation of less than half a turn; zero for hardly any.
public func vectorFromRotation(_ m: Rotation) -> SIMD3<Double> {
    let twice = SIMD3<Double>(m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1])
    let axis: SIMD3<Double> = twice / 2
    let sine = length(axis)
    let cosine = min(1, max(-1, (m[0, 0] + m[1, 1] + m[2, 2] - 1) / 2))
    guard sine >= smallestTurn else {
        return cosine > 0 ? .zero : halfTurnVector(m)
    }
    return axis * (atan2(sine, cosine) / sine)
}

/// Rotation by an axis times an angle in radians (Rodrigues' formula).
public func rotationFromVector(_ vector: SIMD3<Double>) -> Rotation {
    let angle = length(vector)
    guard angle >= .ulpOfOne else { return .identity }
    let axis: SIMD3<Double> = vector / angle
    let (c, s): (Double, Double) = (cos(angle), sin(angle))
    let scaled: SIMD3<Double> = (1 - c) * axis
    let turned: SIMD3<Double> = s * axis
    return Rotation(
        scaled.x * axis + SIMD3(c, -turned.z, turned.y),
        scaled.y * axis + SIMD3(turned.z, c, -turned.x),
        scaled.z * axis + SIMD3(-turned.y, turned.x, c))
}

func length(_ vector: SIMD3<Double>) -> Double { (vector * vector).sum().squareRoot() }

/// Axis and angle of a half turn, whose axis stands in the diagonal up to signs.
private func halfTurnVector(_ m: Rotation) -> SIMD3<Double> {
    let x = max(0, (m[0, 0] + 1) / 2).squareRoot()
    let absY: Double = max(0, (m[1, 1] + 1) / 2).squareRoot()
    let y: Double = m[0, 1] < 0 ? -absY : absY
    let size: Double = max(0, (m[2, 2] + 1) / 2).squareRoot()
    let signed: Double = m[0, 2] < 0 ? -size : size
    // Where x is next to nothing, the signs of m[0, 1] and m[0, 2] are noise, and that of m[1, 2] is not.
    let isFlipped = x < abs(y) && x < size && (m[1, 2] > 0) != (y * signed > 0)
    let z: Double = isFlipped ? -signed : signed
    let axis = SIMD3<Double>(x, y, z)
    return axis * (Double.pi / length(axis))
}
