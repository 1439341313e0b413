// What is drawn over the camera's picture. Pure functions.

import FaceCore

/// A line through points.
public struct Outline: Sendable, Equatable {
    public let points: [SIMD2<Double>]
    /// Whether the last point is joined to the first.
    public let isClosed: Bool
}

/// The axes of a head, drawn from the tip of the nose.
public struct HeadAxes: Sendable, Equatable {
    public let origin: SIMD2<Double>
    /// To the subject's left.
    public let left: SIMD2<Double>
    /// Up.
    public let up: SIMD2<Double>
    /// Out of the face.
    public let out: SIMD2<Double>
}

private let axisLength = 0.4  // of the face's size

/// Where a pixel of the frame is shown in a view.
///
/// - Parameters:
///   - width: of the frame, pixels.
///   - height: of the frame, pixels.
///   - corners: where the view shows the frame's edges: the upper left corner of its first pixel,
///     the upper right one of its first row's last, the lower left one of its first column's last.
///     A preview layer knows them, whatever it turns, mirrors or cuts off.
public func frameToView(
    width: Int, height: Int, corners: (SIMD2<Double>, SIMD2<Double>, SIMD2<Double>)
) -> Affine {
    let (origin, right, below) = corners
    let stepX: SIMD2<Double> = (right - origin) / Double(width)
    let stepY: SIMD2<Double> = (below - origin) / Double(height)
    let first: SIMD2<Double> = origin + (stepX + stepY) / 2  // pixel centres are at integers
    return Affine(stepX.x, stepY.x, first.x, stepX.y, stepY.y, first.y)
}

/// The lines of a face.
///
/// - Parameter map: frame pixels to the view.
public func outlines(of face: Face, map: Affine) -> [Outline] {
    faceParts.map { part in
        let points = face.landmarks[part.indices].map { map.apply(SIMD2<Double>($0)) }
        return Outline(points: points, isClosed: part.isClosed)
    }
}

/// The axes of a face's head, as they are seen.
///
/// - Parameter map: frame pixels to the view.
public func headAxes(of face: Face, map: Affine) throws -> HeadAxes {
    let length = axisLength * (try boxFromLandmarks(face.rawLandmarks)).longerSide
    let tip = SIMD2<Double>(face.landmarks[noseTip])
    let rotation = face.pose.rotation
    func end(_ axis: Int) -> SIMD2<Double> {
        // The camera's y is up, the picture's is down.
        let seen = SIMD2<Double>(rotation[0, axis], -rotation[1, axis])
        return map.apply(tip + length * seen)
    }
    return HeadAxes(origin: map.apply(tip), left: end(0), up: end(1), out: end(2))
}
