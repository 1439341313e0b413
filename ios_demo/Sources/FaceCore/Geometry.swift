// Regions and crop transforms. Pure functions.
//
// Two coordinate systems for a crop: *crop pixels*, pixel centres at integers, and *crop units*,
// 0...1 from the outer edge of the first pixel to the outer edge of the last, whatever the
// resolution: u = (pixel + 0.5) / resolution. The network's landmarks are crop units.

import Foundation

/// Of the longer side, on each boundary: side = 1.5 x (arXiv 2103.07615, sec. 3).
public let roiExtension = 0.25

private let positionStep = 0.02  // of the grid of centres, share of the size
private let sizeStep = 0.035  // of the grid of sizes, in their natural logarithm
// Grid steps that a region may be off before it moves; with less, some never rest.
private let keep = 1.0

/// An affine map: x' = a x + b y + c, y' = d x + e y + f.
public struct Affine: Sendable, Equatable {
    public let a, b, c, d, e, f: Double

    public init(_ a: Double, _ b: Double, _ c: Double, _ d: Double, _ e: Double, _ f: Double) {
        (self.a, self.b, self.c) = (a, b, c)
        (self.d, self.e, self.f) = (d, e, f)
    }

    /// Where a point goes.
    public func apply(_ point: SIMD2<Double>) -> SIMD2<Double> {
        SIMD2(a * point.x + b * point.y + c, d * point.x + e * point.y + f)
    }
}

/// Bounding box of landmarks.
///
/// - Throws: ``AtpnError/invalidFrame(_:)`` when there is none.
public func boxFromLandmarks(_ landmarks: Landmarks) throws -> Box {
    guard var low = landmarks.first else {
        throw AtpnError.invalidFrame("expected landmarks, got none")
    }
    var high = low
    for point in landmarks.dropFirst() {
        low = pointwiseMin(low, point)
        high = pointwiseMax(high, point)
    }
    return Box(
        left: Double(low.x), top: Double(low.y), right: Double(high.x), bottom: Double(high.y))
}

/// Square region around a box: its centre, its longer side extended on each boundary.
///
/// - Parameters:
///   - extension: share of the longer side added at each boundary.
///   - rotationRad: of the region, clockwise in the image.
/// - Throws: ``AtpnError/invalidFrame(_:)`` when the box is empty or not finite.
public func roiFromBox(
    _ box: Box, extension share: Double = roiExtension, rotationRad: Double = 0
) throws -> Roi {
    try Roi(
        centerX: (box.left + box.right) / 2, centerY: (box.top + box.bottom) / 2,
        size: box.longerSide * (1 + 2 * share), rotationRad: rotationRad)
}

/// Region in which a face with these landmarks is looked for in the next frame.
///
/// - Throws: ``AtpnError/invalidFrame(_:)`` when the landmarks have no extent or are not finite.
public func roiFromLandmarks(
    _ landmarks: Landmarks, extension share: Double = roiExtension
) throws -> Roi {
    try roiFromBox(boxFromLandmarks(landmarks), extension: share)
}

/// Intersection over union of two boxes, 0...1.
public func boxIou(_ a: Box, _ b: Box) -> Double {
    let width = min(a.right, b.right) - max(a.left, b.left)
    let height = min(a.bottom, b.bottom) - max(a.top, b.top)
    guard width > 0 && height > 0 else { return 0 }
    let intersection = width * height
    return intersection / (a.area + b.area - intersection)
}

/// Where to look next: the same region as long as it fits, else a nearby one out of a grid.
///
/// A region that follows every small change of the landmarks feeds the network's own noise back to
/// it. One that rests until it is off by a grid step, and then jumps to the grid, ends that, and
/// engines whose last digits differ agree over whole clips.
///
/// - Parameters:
///   - current: the region of this frame.
///   - target: the region by this frame's landmarks.
public func steadyRoi(current: Roi, target: Roi) throws -> Roi {
    let reach = keep * positionStep * current.size
    let fits =
        abs(target.centerX - current.centerX) <= reach
        && abs(target.centerY - current.centerY) <= reach
        && abs(log(target.size / current.size)) <= keep * sizeStep
        && target.rotationRad == current.rotationRad
    return fits ? current : try onGrid(target)
}

/// The nearest of the regions that ``steadyRoi(current:target:)`` jumps to; at most half a step away.
public func onGrid(_ roi: Roi) throws -> Roi {
    let size = exp(roundHalfUp(log(roi.size) / sizeStep) * sizeStep)
    let step = positionStep * size
    return try Roi(
        centerX: roundHalfUp(roi.centerX / step) * step,
        centerY: roundHalfUp(roi.centerY / step) * step,
        size: size, rotationRad: roi.rotationRad)
}

/// How a region is turned that shows faces upright, in radians, clockwise in the image.
///
/// - Parameter rotation: clockwise turn that would put the frame upright.
public func uprightRotation(_ rotation: QuarterTurn) -> Double {
    switch rotation {
    case .none: 0
    case .right: -Double.pi / 2
    case .half: Double.pi
    case .left: Double.pi / 2
    }
}

/// Affine map of crop pixels to frame pixels.
///
/// - Parameter resolution: pixels on a side of the crop.
public func cropToFrameMatrix(_ roi: Roi, resolution: Int) -> Affine {
    let scale = roi.size / Double(resolution)
    let cosine = scale * cos(roi.rotationRad)
    let sine = scale * sin(roi.rotationRad)
    let middle = Double(resolution - 1) / 2
    return Affine(
        cosine, -sine, roi.centerX - middle * (cosine - sine),
        sine, cosine, roi.centerY - middle * (sine + cosine))
}

/// Move landmarks from crop units to frame pixels.
public func landmarksToFrame(_ landmarks: Landmarks, roi: Roi) -> Landmarks {
    let cosine = roi.size * cos(roi.rotationRad)
    let sine = roi.size * sin(roi.rotationRad)
    let map = Affine(
        cosine, -sine, roi.centerX - 0.5 * (cosine - sine),
        sine, cosine, roi.centerY - 0.5 * (sine + cosine))
    return mapPoints(landmarks, map)
}

/// Move landmarks from frame pixels to crop units: the inverse of ``landmarksToFrame(_:roi:)``.
public func landmarksToCrop(_ landmarks: Landmarks, roi: Roi) -> Landmarks {
    let cosine = cos(roi.rotationRad) / roi.size
    let sine = sin(roi.rotationRad) / roi.size
    let map = Affine(
        cosine, sine, 0.5 - cosine * roi.centerX - sine * roi.centerY,
        -sine, cosine, 0.5 + sine * roi.centerX - cosine * roi.centerY)
    return mapPoints(landmarks, map)
}

/// Landmarks (crop units) in the mirrored crop: other places, and right is left.
public func mirrorLandmarks(_ landmarks: Landmarks) -> Landmarks {
    mirrorIndices.map { index in SIMD2(1 - landmarks[index].x, landmarks[index].y) }
}

private func mapPoints(_ points: Landmarks, _ map: Affine) -> Landmarks {
    points.map { point in SIMD2<Float>(map.apply(SIMD2<Double>(point))) }
}

/// Move a box of the upright picture to the frame that is not upright.
///
/// - Parameters:
///   - box: 0...1 of the upright picture's width and height, y down.
///   - rotation: clockwise turn that puts the frame upright.
///   - width: of the frame, pixels.
///   - height: of the frame, pixels.
public func uprightBoxToFrame(
    _ box: Box, rotation: QuarterTurn, width: Int, height: Int
) -> Box {
    let (left, top, right, bottom) =
        switch rotation {
        case .none: (box.left, box.top, box.right, box.bottom)
        case .right: (box.top, 1 - box.right, box.bottom, 1 - box.left)
        case .half: (1 - box.right, 1 - box.bottom, 1 - box.left, 1 - box.top)
        case .left: (1 - box.bottom, box.left, 1 - box.top, box.right)
        }
    // Pixel centres are at integers: the frame's edges are at -0.5 and width - 0.5.
    let (sideX, sideY) = (Double(width), Double(height))
    return Box(
        left: left * sideX - 0.5, top: top * sideY - 0.5, right: right * sideX - 0.5,
        bottom: bottom * sideY - 0.5)
}
