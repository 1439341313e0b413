// FaceTracker: detect once, then follow each face by its own landmarks.
//
// The only file that knows all stages. State lives in the tracks and nowhere else.

private let assumedFrameRateHz = 30.0  // of frames that come without a timestamp
private let minFaceSize = 1.0  // pixels: below it a face is a point, and its region has no size
private let noTrack = -1

/// Landmarks, head pose and presence of the faces in a video or a picture.
///
/// A face is found once by the detector and then followed by the region of its own landmarks; when
/// the network no longer sees it there, nor around it, the detector is asked again.
///
/// Same frames, same options, same results. One tracker serves one video. It is not `Sendable`: keep
/// it in an actor of your own, as `TrackingWorker` of the demo app does.
public final class FaceTracker {
    /// The options it was made with.
    public let config: TrackerConfig
    private let network: any AlignmentNetwork
    private let detector: any Detector
    private let uprightRad: Double
    private var state = State()

    /// - Parameters:
    ///   - network: looks for a face in a region, see ``CropNetwork``.
    ///   - detector: finds the faces, see ``NetworkDetector``.
    /// - Throws: ``AtpnError/config(_:)`` when an option is outside its range.
    public init(
        network: any AlignmentNetwork, detector: any Detector,
        config: TrackerConfig = TrackerConfig()
    ) throws {
        try config.validate()
        self.config = config
        self.network = network
        self.detector = detector
        uprightRad = uprightRotation(config.rotation)
    }

    /// Follow the faces into the next frame of a video.
    ///
    /// - Parameter timestampS: time of the frame, seconds; used for smoothing. Left out: frames
    ///   since the start or ``reset()``, at 30 per second. A time that does not increase is allowed;
    ///   it starts the smoothing anew.
    /// - Returns: the faces by `trackId`; the frame's time; the time spent.
    /// - Throws: ``AtpnError/invalidFrame(_:)`` when the timestamp cannot be used, and whatever the
    ///   engine throws. The tracks stay as they were then.
    public func track(_ frame: Frame, timestampS: Double? = nil) throws -> TrackResult {
        let work = Work(frame: frame)
        let nowS = timestampS ?? Double(state.frameIndex) / assumedFrameRateHz
        guard nowS.isFinite else {
            throw AtpnError.invalidFrame("expected timestampS as finite seconds, got \(nowS)")
        }
        let followed = try follow(work)
        let lost = lostTracks(followed, nowS)
        let detectorRan = isDetectorDue(numFollowed: followed.count, mayReturn: !lost.isEmpty)
        let known = followed.map(\.sighting.box)
        let fresh =
            detectorRan
            ? try find(work, known: known, limit: config.maxFaces - followed.count) : []

        // Everything that can fail is behind us: from here on the state changes.
        let before = state.tracks.map(\.trackId)
        var seen = followed.map { ($0, Source.tracked) }
        seen += newTracks(fresh, lost).map { ($0, Source.detected) }
        seen.sort { a, b in a.0.track.trackId < b.0.track.trackId }
        var faces: [Face] = []
        var tracks: [Track] = []
        for (one, source) in seen {
            var track = one.track
            faces.append(track.update(one.sighting, source, nowS))
            tracks.append(track)
        }
        let now = Set(faces.map(\.trackId))
        state.tracks = tracks
        state.lost = lost.filter { !now.contains($0.trackId) }
        state.detectorAsked = detectorRan ? state.frameIndex : state.detectorAsked
        state.framesWithoutFace = faces.isEmpty ? state.framesWithoutFace + 1 : 0
        state.frameIndex += 1
        return TrackResult(
            faces: faces, timestampS: nowS, timings: work.timings(), detectorRan: detectorRan,
            lostIds: before.filter { !now.contains($0) })
    }

    /// Find the faces of one picture; tracks are neither used nor changed.
    ///
    /// - Returns: at most `config.maxFaces` faces, best detection first, unsmoothed, with
    ///   `trackId` -1 and timestamp 0.
    public func detect(_ frame: Frame) throws -> TrackResult {
        let work = Work(frame: frame)
        let found = try find(work, known: [], limit: config.maxFaces)
        let faces = found.map { unsmoothedFace($0.alignment, $0.roi, .detected) }
        return TrackResult(
            faces: faces, timestampS: 0, timings: work.timings(), detectorRan: true, lostIds: [])
    }

    /// Run the network on regions of your own; no detector, no gate, no tracks.
    ///
    /// - Parameter rois: the regions; ``roiFromBox(_:extension:rotationRad:)`` makes one of a box.
    ///   Where the frames are not upright, `config.rotation` turns them.
    /// - Returns: one face per region, in their order, unsmoothed, with `trackId` -1 and source
    ///   `detected`; `presence` tells whether the region shows a face.
    /// - Throws: ``AtpnError/engine(_:)`` when the network gave numbers that are not finite.
    public func align(_ frame: Frame, rois: [Roi]) throws -> [Face] {
        let work = Work(frame: frame)
        return try rois.map { wanted in
            let roi = try Roi(
                centerX: wanted.centerX, centerY: wanted.centerY, size: wanted.size,
                rotationRad: wanted.rotationRad + uprightRad)
            guard let alignment = try look(work, roi) else {
                throw AtpnError.engine(
                    "expected finite numbers from the network, got others for \(roi)")
            }
            return unsmoothedFace(alignment, roi, .detected)
        }
    }

    /// Forget the tracks: from here on it behaves like a new tracker, ids from 0 included.
    public func reset() {
        state = State()
    }

    // MARK: - Looking

    /// Run the network on a region; nil when its numbers are not finite.
    private func look(_ work: Work, _ roi: Roi) throws -> Alignment? {
        var outputs = try run(work, roi, mirrored: config.mirrored)
        if config.views == 2 {
            outputs = averageViews(
                plain: outputs, mirrored: try run(work, roi, mirrored: !config.mirrored))
        }
        return decodeAlignment(outputs, roi: roi, mirrored: config.mirrored)
    }

    private func run(_ work: Work, _ roi: Roi, mirrored: Bool) throws -> AlignmentOutputs {
        let start = ContinuousClock.now
        let outputs = try network.run(work.frame, roi: roi, mirrored: mirrored)
        work.cropMs += outputs.cropMs
        work.networkMs += max(0, millisecondsSince(start) - outputs.cropMs)
        return outputs
    }

    /// Look for a face in a region; nil when there is none to follow.
    private func sight(_ work: Work, _ roi: Roi, threshold: Double) throws -> Sighting? {
        guard let alignment = try look(work, roi),
            passesGate(presence: alignment.presence, threshold: threshold)
        else { return nil }
        let box = try boxFromLandmarks(alignment.landmarks)
        guard let target = try nextRoi(box, work.frame) else { return nil }
        return Sighting(
            alignment: alignment, roi: roi, box: box,
            nextRoi: try steadyRoi(current: roi, target: target))
    }

    /// Find the face in a region that may be off; nil when there is none.
    ///
    /// The network looks twice: its first landmarks give the region in which a tracked face would be
    /// looked for, so the first frame of a track is as good as the others. The second look is the
    /// one that has to pass the gate: the first may be off by the detector's error.
    private func acquire(_ work: Work, _ roi: Roi) throws -> Sighting? {
        guard let first = try look(work, roi),
            let refined = try nextRoi(boxFromLandmarks(first.landmarks), work.frame)
        else { return nil }
        return try sight(work, onGrid(refined), threshold: config.acceptPresence)
    }

    /// The region of a face's own box; nil when it is none, or one beside the picture.
    private func nextRoi(_ box: Box, _ frame: Frame) throws -> Roi? {
        guard box.longerSide >= minFaceSize else { return nil }
        let roi = try roiFromBox(box, extension: config.roiExtension, rotationRad: uprightRad)
        // Pixel centres are at integers: the frame's edge is half a pixel out.
        let reach = roi.size / 2 + 0.5
        let isInside =
            -reach < roi.centerX && roi.centerX < Double(frame.width - 1) + reach
            && -reach < roi.centerY && roi.centerY < Double(frame.height - 1) + reach
        return isInside ? roi : nil
    }

    // MARK: - Following and finding

    /// Look at the tracks; those that are not where they were, once more in a larger region.
    private func follow(_ work: Work) throws -> [Followed] {
        var seen: [Followed] = []
        var missing: [Track] = []
        for track in state.tracks {
            if let sighting = try sight(work, track.roi, threshold: config.keepPresence) {
                seen.append(Followed(track: track, sighting: sighting))
            } else {
                missing.append(track)
            }
        }
        var followed = oneTrackPerFace(seen)
        guard config.retryScale != 1 else { return followed }
        for track in missing {
            let larger = try Roi(
                centerX: track.roi.centerX, centerY: track.roi.centerY,
                size: track.roi.size * config.retryScale, rotationRad: track.roi.rotationRad)
            let taken = followed.map(\.sighting.box)
            if let sighting = try acquire(work, larger),
                !overlapsAny(sighting.box, taken, iouThreshold: config.sameFaceIou)
            {
                followed.append(Followed(track: track, sighting: sighting))
            }
        }
        return followed
    }

    private func oneTrackPerFace(_ seen: [Followed]) -> [Followed] {
        // Of two on one face the one has slid over that is farther from where it was seen before.
        let rests = seen.map { roundHalfEven(boxIou($0.track.box, $0.sighting.box) * 10) }
        let order = seen.indices.sorted { a, b in
            (-rests[a], seen[a].track.trackId) < (-rests[b], seen[b].track.trackId)
        }
        let steadiest = order.map { seen[$0] }
        let kept = distinctFaces(
            boxes: steadiest.map(\.sighting.box),
            presences: steadiest.map(\.sighting.alignment.presence),
            iouThreshold: config.sameFaceIou)
        return kept.map { steadiest[$0] }.sorted { a, b in a.track.trackId < b.track.trackId }
    }

    /// Ask the detector for at most `limit` faces that are not among the known boxes.
    private func find(_ work: Work, known: [Box], limit: Int) throws -> [Sighting] {
        let start = ContinuousClock.now
        let detections = try detector.detect(work.frame)
        work.detectorMs += millisecondsSince(start)
        var taken = known
        var found: [Sighting] = []
        for detection in detections {
            if found.count == limit { break }
            if overlapsAny(detection.box, taken, iouThreshold: config.sameFaceIou) { continue }
            let roi = try roiFromBox(
                detection.box, extension: config.roiExtension, rotationRad: uprightRad)
            if let sighting = try acquire(work, roi),
                !overlapsAny(sighting.box, taken, iouThreshold: config.sameFaceIou)
            {
                taken.append(sighting.box)
                found.append(sighting)
            }
        }
        return found
    }

    private func isDetectorDue(numFollowed: Int, mayReturn: Bool) -> Bool {
        if numFollowed >= config.maxFaces { return false }
        guard let asked = state.detectorAsked else { return true }
        let isIdle = state.framesWithoutFace >= config.idleAfterFrames
        let interval =
            numFollowed > 0
            ? (mayReturn ? 1 : config.detectIntervalFrames)
            : (isIdle ? config.idleIntervalFrames : 1)
        return state.frameIndex - asked >= interval
    }

    // MARK: - Tracks

    /// The faces that may come back: those lost in this frame, and lately.
    private func lostTracks(_ followed: [Followed], _ nowS: Double) -> [LostTrack] {
        let kept = Set(followed.map(\.track.trackId))
        let gone = state.tracks.filter { !kept.contains($0.trackId) }
        let lost =
            state.lost + gone.map { LostTrack(trackId: $0.trackId, box: $0.box, lostS: nowS) }
        let recent = lost.filter { one in
            nowS - one.lostS >= 0 && nowS - one.lostS < config.reattachS
        }
        return recent.suffix(config.maxFaces)  // bounded, also while a clock stands still
    }

    /// A track for each face that was found: under its old id where it has come back.
    private func newTracks(_ sightings: [Sighting], _ lost: [LostTrack]) -> [Followed] {
        let matches = matchLost(
            boxes: sightings.map(\.box), lostBoxes: lost.map(\.box),
            maxDistance: config.reattachDistance)
        return zip(sightings, matches).map { sighting, match in
            let trackId = match.map { lost[$0].trackId } ?? newTrackId()
            let track = Track(
                trackId: trackId, roi: sighting.nextRoi, box: sighting.box,
                filters: config.smoothing.map(Filters.init))
            return Followed(track: track, sighting: sighting)
        }
    }

    private func newTrackId() -> Int {
        defer { state.nextTrackId += 1 }
        return state.nextTrackId
    }
}

/// What is carried from frame to frame.
private struct State {
    var tracks: [Track] = []  // by trackId
    var lost: [LostTrack] = []
    var nextTrackId = 0
    var frameIndex = 0
    var detectorAsked: Int?  // the frame of it
    var framesWithoutFace = 0
}

/// A face that the network sees in the present frame.
private struct Sighting {
    let alignment: Alignment
    let roi: Roi  // where the network looked
    let box: Box  // of the landmarks
    let nextRoi: Roi  // where to look in the next frame
}

/// The smoothing of one track.
private struct Filters {
    var landmarks: OneEuroFilter
    var pose: RotationFilter

    init(config: SmoothingConfig) {
        landmarks = OneEuroFilter(config: config)
        pose = RotationFilter(config: config)
    }
}

/// What is carried from frame to frame for one face.
private struct Track {
    let trackId: Int
    var roi: Roi  // where to look next
    var box: Box  // where it was seen
    var filters: Filters?  // nil: no smoothing

    /// Take a sighting over, and make the result of it.
    mutating func update(_ sighting: Sighting, _ source: Source, _ nowS: Double) -> Face {
        roi = sighting.nextRoi
        box = sighting.box
        let seen = sighting.alignment
        let landmarks = filters?.landmarks.smooth(
            seen.landmarks, timestampS: nowS, faceSize: box.longerSide)
        let rotation = filters?.pose.smooth(seen.pose.rotation, timestampS: nowS)
        return Face(
            trackId: trackId, landmarks: landmarks ?? seen.landmarks, rawLandmarks: seen.landmarks,
            presence: seen.presence, pose: rotation.map(HeadPose.init) ?? seen.pose,
            rawPose: seen.pose, roi: sighting.roi, source: source)
    }
}

/// A face that may come back.
private struct LostTrack {
    let trackId: Int
    let box: Box  // where it was last seen
    let lostS: Double  // time of the first frame without it
}

private struct Followed {
    let track: Track
    let sighting: Sighting
}

/// One frame with the time spent on it.
private final class Work {
    let frame: Frame
    private let start = ContinuousClock.now
    var detectorMs = 0.0
    var cropMs = 0.0
    var networkMs = 0.0

    init(frame: Frame) { self.frame = frame }

    func timings() -> StageTimings {
        let spentMs = detectorMs + cropMs + networkMs
        return StageTimings(
            detectorMs: detectorMs, cropMs: cropMs, networkMs: networkMs,
            trackerMs: max(0, millisecondsSince(start) - spentMs))
    }
}

private func unsmoothedFace(_ alignment: Alignment, _ roi: Roi, _ source: Source) -> Face {
    Face(
        trackId: noTrack, landmarks: alignment.landmarks, rawLandmarks: alignment.landmarks,
        presence: alignment.presence, pose: alignment.pose, rawPose: alignment.pose, roi: roi,
        source: source)
}
