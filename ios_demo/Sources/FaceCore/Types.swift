/// x and y of each landmark, pixel centres at integers, x right, y down.
public typealias Landmarks = [SIMD2<Float>]

/// An axis-parallel rectangle, frame pixels unless said otherwise.
public struct Box: Sendable, Equatable {
    public let left, top, right, bottom: Double

    public init(left: Double, top: Double, right: Double, bottom: Double) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
    }

    /// Length of the longer side.
    public var longerSide: Double { max(right - left, bottom - top) }

    /// Width times height.
    var area: Double { (right - left) * (bottom - top) }
}

/// A square region of a frame, the network's field of view.
public struct Roi: Sendable, Equatable {
    /// Centre, frame pixels, x right, pixel centres at integers.
    public let centerX: Double
    /// Centre, frame pixels, y down.
    public let centerY: Double
    /// Length of a side, frame pixels, above 0.
    public let size: Double
    /// Clockwise in the image, radians.
    public let rotationRad: Double

    /// - Throws: ``AtpnError/invalidFrame(_:)`` when a value is not finite, or the size not above 0.
    public init(centerX: Double, centerY: Double, size: Double, rotationRad: Double = 0) throws {
        let finite = [centerX, centerY, size, rotationRad].allSatisfy(\.isFinite)
        guard finite && size > 0 else {
            throw AtpnError.invalidFrame(
                "expected a Roi of finite numbers with size > 0, got center (\(centerX), "
                    + "\(centerY)), size \(size), rotation \(rotationRad)")
        }
        self.centerX = centerX
        self.centerY = centerY
        self.size = size
        self.rotationRad = rotationRad
    }
}

/// Where a face of a result comes from.
public enum Source: String, Sendable {
    /// The detector found it in this frame.
    case detected
    /// The network saw it where its own landmarks of the frame before say it should be.
    case tracked
}

/// One face of one frame.
public struct Face: Sendable {
    /// Number of the track, from 0, not used twice between two `reset()`s; -1 outside tracks.
    public let trackId: Int
    /// 98 points, frame pixels; smoothed where smoothing is on. ``faceParts`` names them.
    public let landmarks: Landmarks
    /// The same as the network gave them.
    public let rawLandmarks: Landmarks
    /// Probability that the region shows a face, 0...1.
    public let presence: Double
    /// Orientation of the head; smoothed where smoothing is on.
    public let pose: HeadPose
    /// The same as the network gave it.
    public let rawPose: HeadPose
    /// The region the network looked at.
    public let roi: Roi
    /// Found by the detector in this frame, or followed.
    public let source: Source
}

/// A box found by a detector.
public struct Detection: Sendable, Equatable {
    /// The bounding box of the landmarks, frame pixels.
    public let box: Box
    /// Confidence, 0...1.
    public let score: Double

    public init(box: Box, score: Double) {
        self.box = box
        self.score = score
    }
}

/// Wall time of one frame by stage, milliseconds; 0 for a stage that did not run.
public struct StageTimings: Sendable, Equatable {
    public let detectorMs: Double
    public let cropMs: Double
    public let networkMs: Double
    /// Decoding, gate, smoothing, association.
    public let trackerMs: Double

    /// Sum of the stages.
    public var totalMs: Double { detectorMs + cropMs + networkMs + trackerMs }
}

/// What one frame gave.
public struct TrackResult: Sendable {
    /// By `trackId` from `track`, best detection first from `detect`; empty when there is none.
    public let faces: [Face]
    /// The frame's time, seconds.
    public let timestampS: Double
    public let timings: StageTimings
    /// Whether the detector was asked in this frame.
    public let detectorRan: Bool
    /// Tracks of the frame before that have no face in this one.
    public let lostIds: [Int]
}
