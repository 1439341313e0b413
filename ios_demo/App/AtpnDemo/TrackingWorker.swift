import FaceCore
import FaceKit

/// Keeps the tracker away from the main thread, one frame at a time.
actor TrackingWorker {
    private let networks: CoreMLNetworks
    private var tracker: FaceTracker

    /// Load the networks; takes some time.
    static func load() async throws -> TrackingWorker { try TrackingWorker() }

    private init() throws {
        let networks = try CoreMLNetworks()
        tracker = try networks.makeTracker()
        self.networks = networks
    }

    /// Follow the faces into the next frame.
    ///
    /// - Parameter rotation: clockwise turn that puts the frame upright. Where it changes, the
    ///   tracks end: regions are turned with it.
    func track(_ frame: CameraFrame, rotation: QuarterTurn) throws -> TrackResult {
        if rotation != tracker.config.rotation {
            var config = tracker.config
            config.rotation = rotation
            tracker = try networks.makeTracker(config: config)
        }
        return try tracker.track(frame.frame, timestampS: frame.timestampS)
    }

    /// Forget the tracks.
    func reset() { tracker.reset() }
}
