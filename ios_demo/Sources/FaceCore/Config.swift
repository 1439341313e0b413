// Options, the unit in the name. Defaults are those of the Python runtime. They are checked where
// they are used: by the initialisers of FaceTracker and NetworkDetector.

/// A clockwise turn in degrees.
public enum QuarterTurn: Int, Sendable, CaseIterable {
    case none = 0
    case right = 90
    case half = 180
    case left = 270
}

/// Options of the detector that is built from the project's own network.
public struct DetectorConfig: Sendable, Equatable {
    /// Boxes below this confidence are dropped; 0...1.
    public var scoreThreshold = 0.5
    /// Boxes that overlap a better one by more are the same face; 0...1.
    public var iouThreshold = 0.4
    /// At most so many boxes, the best ones; from 1.
    public var maxDetections = 100
    /// Small-face mode: besides the whole frame, its shorter side is cut into so many overlapping
    /// tiles, the longer one into as many more as fit; each is looked at alone. 1 for none.
    public var tiles = 1
    /// Clockwise turn that would put the frames upright.
    public var rotation = QuarterTurn.none

    public init() {}

    /// - Throws: ``AtpnError/config(_:)`` when a value is outside its range.
    public func validate() throws {
        try requireNumber("scoreThreshold", scoreThreshold, 0...1)
        try requireNumber("iouThreshold", iouThreshold, 0...1)
        try requireCount("maxDetections", maxDetections)
        try requireCount("tiles", tiles)
    }
}

/// Options of the one-euro filter; lengths are in face sizes, so distance does not matter.
public struct SmoothingConfig: Sendable, Equatable {
    /// Cut-off for a landmark at rest: lower is calmer and slower to follow; above 0.
    public var minCutoffHz = 1.0
    /// Rise of the cut-off with speed, Hz per (face size / second): higher lags less; from 0.
    public var beta = 40.0
    /// Cut-off of the speed estimate: lower ignores noise, higher reacts sooner; above 0.
    public var derivativeCutoffHz = 1.0
    /// The same as `minCutoffHz` for the head pose; above 0.
    public var poseMinCutoffHz = 1.0
    /// The same as `beta` for the head pose, whose speed is in radians per second; from 0.
    public var poseBeta = 8.0

    public init() {}

    /// - Throws: ``AtpnError/config(_:)`` when a value is outside its range.
    public func validate() throws {
        try requireNumber("minCutoffHz", minCutoffHz, aboveZero)
        try requireNumber("beta", beta, fromZero)
        try requireNumber("derivativeCutoffHz", derivativeCutoffHz, aboveZero)
        try requireNumber("poseMinCutoffHz", poseMinCutoffHz, aboveZero)
        try requireNumber("poseBeta", poseBeta, fromZero)
    }
}

/// Options of ``FaceTracker``.
public struct TrackerConfig: Sendable, Equatable {
    /// Clockwise turn that would put the frames upright. Results stay in the coordinates of the
    /// frame as it is. The detector needs the same.
    public var rotation = QuarterTurn.none
    /// The frames are mirror images: landmarks keep the names of the subject's own right and left.
    public var mirrored = false
    /// Faces followed at the same time, and the most that `detect` reports; from 1.
    public var maxFaces = 1
    /// The gate: what the network's presence has to be; 0...1. A face is taken up at this plus the
    /// hysteresis, and kept down to this minus the hysteresis.
    public var presenceThreshold = 0.7
    /// See `presenceThreshold`; 0...1.
    public var presenceHysteresis = 0.05
    /// A face that does not pass the gate is looked for once more in a region so many times larger
    /// before it is given up; from 1, which turns that off.
    public var retryScale = 1.5
    /// A face that comes back within so many seconds keeps its id; from 0.
    public var reattachS = 2.0
    /// ... if it is not farther away than so many times its size; from 0.
    public var reattachDistance = 2.0
    /// With some faces tracked but fewer than `maxFaces`, the detector is asked every so many
    /// frames; with no face, and while a lost one may come back, it is asked at once; from 1.
    public var detectIntervalFrames = 10
    /// After so many frames without any face ...; from 1.
    public var idleAfterFrames = 90
    /// ... the detector is asked every so many frames only; from 1.
    public var idleIntervalFrames = 3
    /// Looks at each face: 2 also takes the mirrored crop and averages, at twice the cost; 1 or 2.
    public var views = 1
    /// Share of the face box's longer side added at each boundary; 0...1. Trained with the default.
    public var roiExtension = FaceCore.roiExtension
    /// Two boxes that overlap by at least this are one face; above 0, up to 1.
    public var sameFaceIou = 0.5
    /// Smoothing of landmarks and pose; nil turns it off.
    public var smoothing: SmoothingConfig? = SmoothingConfig()

    public init() {}

    /// Presence at which a face is taken up, at most 1.
    public var acceptPresence: Double { min(1, presenceThreshold + presenceHysteresis) }

    /// Presence down to which a tracked face is kept, at least 0.
    public var keepPresence: Double { max(0, presenceThreshold - presenceHysteresis) }

    /// - Throws: ``AtpnError/config(_:)`` when a value is outside its range.
    public func validate() throws {
        try requireCount("maxFaces", maxFaces)
        try requireNumber("presenceThreshold", presenceThreshold, 0...1)
        try requireNumber("presenceHysteresis", presenceHysteresis, 0...1)
        try requireNumber("retryScale", retryScale, 1...Double.greatestFiniteMagnitude)
        try requireNumber("reattachS", reattachS, fromZero)
        try requireNumber("reattachDistance", reattachDistance, fromZero)
        try requireCount("detectIntervalFrames", detectIntervalFrames)
        try requireCount("idleAfterFrames", idleAfterFrames)
        try requireCount("idleIntervalFrames", idleIntervalFrames)
        guard views == 1 || views == 2 else {
            throw AtpnError.config("expected views to be 1 or 2, got \(views)")
        }
        try requireNumber("roiExtension", roiExtension, 0...1)
        try requireNumber("sameFaceIou", sameFaceIou, Double.leastNonzeroMagnitude...1)
        try smoothing?.validate()
    }
}

private let fromZero = 0...Double.greatestFiniteMagnitude
private let aboveZero = Double.leastNonzeroMagnitude...Double.greatestFiniteMagnitude

private func requireNumber(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws {
    guard range.contains(value) else {  // NaN and infinity are in none
        let low =
            range.lowerBound == .leastNonzeroMagnitude ? "> 0" : ">= \(range.lowerBound)"
        let high =
            range.upperBound == .greatestFiniteMagnitude ? "" : ", <= \(range.upperBound)"
        throw AtpnError.config(
            "expected \(name) to be a finite number \(low)\(high), got \(value)")
    }
}

private func requireCount(_ name: String, _ value: Int) throws {
    guard value >= 1 else {
        throw AtpnError.config("expected \(name) to be a whole number from 1, got \(value)")
    }
}
