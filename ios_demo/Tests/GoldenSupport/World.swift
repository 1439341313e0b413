// A world of circles instead of pictures: the tracker's logic alone, as in Python's WorldTracker.

import FaceCore
import Foundation

/// A face: a circle.
public struct WorldFace: Sendable {
    /// Centre, frame pixels.
    public let x, y: Double
    /// Diameter, frame pixels.
    public let size: Double
    /// What the network says of it, 0...1.
    public let presence: Double

    public init(x: Double, y: Double, size: Double, presence: Double = 1) {
        self.x = x
        self.y = y
        self.size = size
        self.presence = presence
    }
}

/// Outputs of the alignment network for a face whose landmarks stand on a circle.
///
/// - Parameters:
///   - x: centre, crop units; so is `y`.
///   - size: diameter, crop units.
public func circle(x: Double, y: Double, size: Double, presence: Double) -> AlignmentOutputs {
    let landmarks = (0..<numLandmarks).map { index in
        let turn = index < 4 ? Double(index) / 4 : Double(index - 4) / Double(numLandmarks - 5)
        let (dx, dy) = (cos(2 * .pi * turn), sin(2 * .pi * turn))
        return SIMD2(Float(x + size / 2 * dx), Float(y + size / 2 * dy))
    }
    return AlignmentOutputs(landmarks: landmarks, pose: .zero, presence: Float(presence))
}

/// Network and detector that see the faces of the present moment.
public final class World: AlignmentNetwork, Detector {
    public var faces: [WorldFace] = []
    /// What `run` throws instead of looking.
    public var failure: (any Error)?

    public init(faces: [WorldFace] = []) { self.faces = faces }

    public func run(_ frame: Frame, roi: Roi, mirrored: Bool) throws -> AlignmentOutputs {
        if let failure { throw failure }
        let reach = roi.size / 2
        func far(_ face: WorldFace) -> Double {
            hypot(face.x - roi.centerX, face.y - roi.centerY)
        }
        let near = faces.filter { face in
            abs(face.x - roi.centerX) <= reach && abs(face.y - roi.centerY) <= reach
        }
        guard let face = near.min(by: { far($0) < far($1) }) else {
            return circle(x: 0.5, y: 0.5, size: 2.0 / 3.0, presence: 0)
        }
        return circle(
            x: (face.x - roi.centerX) / roi.size + 0.5,
            y: (face.y - roi.centerY) / roi.size + 0.5, size: face.size / roi.size,
            presence: face.presence)
    }

    public func detect(_ frame: Frame) throws -> [Detection] {
        let order = faces.indices.sorted { a, b in (-faces[a].size, a) < (-faces[b].size, b) }
        return order.map { index in
            let face = faces[index]
            let half = face.size / 2
            let box = Box(
                left: face.x - half, top: face.y - half, right: face.x + half,
                bottom: face.y + half)
            return Detection(box: box, score: 0.9)
        }
    }
}
