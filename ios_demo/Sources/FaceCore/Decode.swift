// Network outputs -> landmarks, pose, presence and boxes in frame pixels. Pure functions.

// Crop units, 0...1 inside of the crop: beyond it the network has gone astray.
private let maxLandmark: Float = 100
private let smallestArea = Double(Float.leastNormalMagnitude)  // no division by zero

/// What the network says about one region, in the frame.
public struct Alignment: Sendable {
    /// Frame pixels.
    public let landmarks: Landmarks
    /// Orientation of the head, in the frame.
    public let pose: HeadPose
    /// Probability that the region shows a face, 0...1.
    public let presence: Double
}

/// Average the outputs for a crop with those for its mirror image, brought back.
public func averageViews(plain: AlignmentOutputs, mirrored: AlignmentOutputs) -> AlignmentOutputs {
    let back = mirrorLandmarks(mirrored.landmarks)
    let signs = SIMD3<Float>(-1, 1, -1)  // yaw and roll change sign
    let pose: SIMD3<Float> = plain.pose + signs * mirrored.pose
    return AlignmentOutputs(
        landmarks: zip(plain.landmarks, back).map { a, b in (a + b) / 2 },
        pose: pose / 2,
        presence: (plain.presence + mirrored.presence) / 2,
        cropMs: plain.cropMs + mirrored.cropMs)
}

/// Read the outputs of the alignment network.
///
/// - Parameters:
///   - roi: the region that was cropped. Where it is rotated, the pose is turned with it.
///   - mirrored: the network saw the mirror image of the region. Landmarks keep their names and
///     come back to their places in the frame; so does the pose.
/// - Returns: nil when a value is not finite, or a landmark absurdly far away: there is nothing to
///   follow then.
public func decodeAlignment(
    _ outputs: AlignmentOutputs, roi: Roi, mirrored: Bool = false
) -> Alignment? {
    guard isUsable(outputs) else { return nil }
    let angles = SIMD3<Double>(outputs.pose)
    var rotation = rotationFromEuler(yaw: angles[0], pitch: angles[1], roll: angles[2])
    var points = outputs.landmarks
    if mirrored {
        rotation = mirrorRotation(rotation)
        points = points.map { point in SIMD2(1 - point.x, point.y) }
    }
    if roi.rotationRad != 0 {
        rotation = rotateInImage(rotation, rotationRad: roi.rotationRad)
    }
    return Alignment(
        landmarks: landmarksToFrame(points, roi: roi), pose: HeadPose(rotation: rotation),
        presence: Double(outputs.presence))
}

/// Whether all numbers are finite, and the landmarks in reach.
private func isUsable(_ outputs: AlignmentOutputs) -> Bool {
    outputs.landmarks.allSatisfy { point in
        abs(point.x) < maxLandmark && abs(point.y) < maxLandmark  // NaN compares false
    }
        && outputs.pose.x.isFinite && outputs.pose.y.isFinite && outputs.pose.z.isFinite
        && outputs.presence.isFinite
}

/// Read the outputs of the detector network: threshold, non-maximum suppression, to the frame.
///
/// - Parameters:
///   - boxes: left, top, right, bottom of each box, crop units.
///   - scores: one per box.
///   - roi: the region that the input showed, turned by a multiple of 90 degrees.
/// - Returns: best first. Boxes may reach beyond the frame, as faces do. Boxes that are empty or
///   not finite are left out.
/// - Throws: ``AtpnError/modelMismatch(_:)`` when there are not four numbers per score.
public func decodeDetections(
    boxes: [Float], scores: [Float], roi: Roi, config: DetectorConfig
) throws -> [Detection] {
    guard boxes.count == 4 * scores.count else {
        throw AtpnError.modelMismatch(
            "expected four numbers per score, got \(boxes.count) for \(scores.count) scores")
    }
    let threshold = Float(config.scoreThreshold)
    var usable: [Detection] = []
    for (index, score) in scores.enumerated() where score >= threshold {
        let sides = boxes[4 * index..<4 * index + 4].map(Double.init)
        let box = Box(left: sides[0], top: sides[1], right: sides[2], bottom: sides[3])
        if sides.allSatisfy(\.isFinite) && box.right > box.left && box.bottom > box.top {
            usable.append(Detection(box: box, score: Double(score)))
        }
    }
    let chosen = suppressOverlaps(
        usable, iouThreshold: config.iouThreshold, maxBoxes: config.maxDetections)
    return try chosen.map { one in
        // A turn exchanges the corners: the box of both is taken.
        let corners = [SIMD2(one.box.left, one.box.top), SIMD2(one.box.right, one.box.bottom)]
        let inFrame = landmarksToFrame(corners.map { SIMD2<Float>($0) }, roi: roi)
        return Detection(box: try boxFromLandmarks(inFrame), score: one.score)
    }
}

/// Greedy non-maximum suppression.
///
/// - Parameters:
///   - iouThreshold: a box that overlaps a better one by more than this is dropped.
///   - maxBoxes: stop after so many.
/// - Returns: the boxes kept, best first; of equal scores the earlier one is better.
public func suppressOverlaps(
    _ detections: [Detection], iouThreshold: Double, maxBoxes: Int
) -> [Detection] {
    let order = detections.indices.sorted { a, b in
        (-detections[a].score, a) < (-detections[b].score, b)
    }
    var kept: [Detection] = []
    for one in order.map({ detections[$0] }) {
        if kept.count == maxBoxes { break }
        if kept.allSatisfy({ better in overlap(better.box, one.box) <= iouThreshold }) {
            kept.append(one)
        }
    }
    return kept
}

/// Intersection over union; of empty boxes 0.
private func overlap(_ a: Box, _ b: Box) -> Double {
    let width = max(0, min(a.right, b.right) - max(a.left, b.left))
    let height = max(0, min(a.bottom, b.bottom) - max(a.top, b.top))
    return width * height / max(a.area + b.area - width * height, smallestArea)
}
