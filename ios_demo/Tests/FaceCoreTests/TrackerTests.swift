// What a caller may rely on beyond the golden vectors.

import FaceCore
import GoldenSupport
import Testing

private func frame() throws -> Frame { try blackFrame(width: 640, height: 480) }

private func worldWith(size: Double) -> World {
    World(faces: [WorldFace(x: 300, y: 200, size: size)])
}

private struct Failure: Error {}

/// A network with a script.
private final class Script: AlignmentNetwork {
    var seenMirrored: [Bool] = []
    private let outputs: (Bool) -> AlignmentOutputs

    init(_ outputs: @escaping (Bool) -> AlignmentOutputs) { self.outputs = outputs }

    func run(_ frame: Frame, roi: Roi, mirrored: Bool) -> AlignmentOutputs {
        seenMirrored.append(mirrored)
        return outputs(mirrored)
    }
}

@Suite struct TrackerTests {
    @Test func goesOnAfterAFrameThatFailedItsTracksAsTheyWere() throws {
        let world = worldWith(size: 100)
        let tracker = try FaceTracker(network: world, detector: world)
        _ = try tracker.track(frame(), timestampS: 0)
        world.failure = Failure()
        #expect(throws: Failure.self) { try tracker.track(frame(), timestampS: 0.1) }
        world.failure = nil
        let result = try tracker.track(frame(), timestampS: 0.2)
        #expect(result.faces.map(\.trackId) == [0])
        #expect(result.faces.map(\.source) == [.tracked])
    }

    @Test func ofTwoTracksOnOneFaceTheOneStaysThatMovedLess() throws {
        var config = TrackerConfig()
        config.maxFaces = 2
        let world = World(faces: [
            WorldFace(x: 200, y: 200, size: 100), WorldFace(x: 320, y: 200, size: 100),
        ])
        let tracker = try FaceTracker(network: world, detector: world, config: config)
        #expect(try tracker.track(frame(), timestampS: 0).faces.count == 2)
        // The first face goes, the second comes into both regions: 72 pixels from where the first
        // was, 48 from where it was itself.
        world.faces = [WorldFace(x: 272, y: 200, size: 100)]
        let result = try tracker.track(frame(), timestampS: 0.03)
        #expect(result.faces.map(\.trackId) == [1])
        #expect(result.lostIds == [0])
    }

    @Test func resetStartsIdsAtZeroAgain() throws {
        var config = TrackerConfig()
        config.reattachS = 0
        let world = worldWith(size: 100)
        let tracker = try FaceTracker(network: world, detector: world, config: config)
        _ = try tracker.track(frame(), timestampS: 0)
        world.faces = []
        #expect(try tracker.track(frame(), timestampS: 1).lostIds == [0])
        world.faces = worldWith(size: 100).faces
        #expect(try tracker.track(frame(), timestampS: 2).faces.first?.trackId == 1)
        tracker.reset()
        #expect(try tracker.track(frame(), timestampS: 3).faces.first?.trackId == 0)
    }

    @Test func detectLeavesTheTracksAlone() throws {
        let world = worldWith(size: 100)
        let tracker = try FaceTracker(network: world, detector: world)
        #expect(try tracker.detect(frame()).faces.map(\.trackId) == [-1])
        #expect(try tracker.track(frame()).faces.first?.source == .detected)
    }

    @Test func alignLooksWhereItIsTold() throws {
        let tracker = try FaceTracker(network: worldWith(size: 90), detector: World())
        let rois = [
            try Roi(centerX: 300, centerY: 200, size: 150),
            try Roi(centerX: 50, centerY: 50, size: 60),
        ]
        let faces = try tracker.align(frame(), rois: rois)
        #expect(faces.map(\.presence) == [1, 0])
        #expect(abs(faces[0].landmarks[0].x - 345) < 1e-3)  // centre + half the size: the turn 0
    }

    @Test func twoViewsAverageTheCropAndItsMirrorImage() throws {
        var config = TrackerConfig()
        config.views = 2
        let network = Script { mirrored in
            circle(x: 0.5, y: 0.5, size: 2.0 / 3.0, presence: mirrored ? 0.9 : 0.7)
        }
        let tracker = try FaceTracker(network: network, detector: World(), config: config)
        let roi = try Roi(centerX: 300, centerY: 200, size: 150)
        let face = try #require(try tracker.align(frame(), rois: [roi]).first)
        #expect(network.seenMirrored == [false, true])
        #expect(abs(face.presence - 0.8) < 1e-6)
    }

    @Test func numbersThatAreNotFiniteLoseTheFaceAndDoNotStopTheTracker() throws {
        let network = Script { _ in circle(x: .nan, y: 0.5, size: 0.5, presence: 1) }
        let tracker = try FaceTracker(network: network, detector: worldWith(size: 100))
        #expect(try tracker.track(frame()).faces.isEmpty)
    }

    @Test func refusesATimeThatIsNone() throws {
        let tracker = try FaceTracker(network: World(), detector: World())
        #expect(throws: AtpnError.self) { try tracker.track(frame(), timestampS: .nan) }
    }
}

@Suite struct FrameTests {
    @Test(arguments: [(2, 2, 8, 15), (0, 2, 8, 16), (2, 2, 7, 16), (Int.max / 2, 2, 8, 16)])
    func refusesWhatIsNoPicture(width: Int, height: Int, bytesPerRow: Int, count: Int) {
        #expect(throws: AtpnError.self) {
            try Frame(
                width: width, height: height, bytesPerRow: bytesPerRow,
                bytes: [UInt8](repeating: 0, count: count))
        }
    }

    @Test func paddedRowsAndTheOrderOfTheChannelsMakeNoDifference() throws {
        let plain = (0..<4 * 6 * 5).map { UInt8($0) }
        var padded: [UInt8] = []
        for row in 0..<5 {
            for column in 0..<6 {
                let pixel = plain[4 * (6 * row + column)..<4 * (6 * row + column) + 4]
                let (red, green, blue) = (
                    pixel[pixel.startIndex], pixel[pixel.startIndex + 1],
                    pixel[pixel.startIndex + 2]
                )
                padded += [blue, green, red, 255]
            }
            padded += [99, 99, 99, 99]
        }
        let spec = inputSpec(side: 4)
        let a = try Frame(width: 6, height: 5, bytes: plain)
        let b = try Frame(width: 6, height: 5, bytesPerRow: 28, order: .bgra, bytes: padded)
        let roi = try Roi(centerX: 2.3, centerY: 2.1, size: 5, rotationRad: 0.3)
        let crops = try [a, b].map {
            try tensor(of: cropFrame($0, roi: roi, resolution: 4), spec: spec)
        }
        #expect(crops[0] == crops[1])
        #expect(Set(crops[0]).count > 4)
        let squares = try [a, b].map {
            try tensor(of: letterbox($0, resolution: 4).picture, spec: spec)
        }
        #expect(squares[0] == squares[1])
    }

    @Test func aRegionWithoutSizeIsRefused() {
        #expect(throws: AtpnError.self) { try Roi(centerX: 0, centerY: 0, size: 0) }
        #expect(throws: AtpnError.self) { try Roi(centerX: .nan, centerY: 0, size: 1) }
    }
}

@Suite struct OptionTests {
    @Test func valuesOutsideTheirRangesAreRefused() throws {
        try refused("maxFaces to be a whole number from 1, got 0") { $0.maxFaces = 0 }
        try refused("presenceThreshold to be a finite number >= 0.0, <= 1.0, got 1.5") {
            $0.presenceThreshold = 1.5
        }
        try refused("sameFaceIou to be a finite number > 0, <= 1.0") { $0.sameFaceIou = 0 }
        try refused("retryScale to be a finite number >= 1.0, got nan") { $0.retryScale = .nan }
        try refused("views to be 1 or 2, got 3") { $0.views = 3 }
        try refused("reattachS to be a finite number >= 0.0, got inf") { $0.reattachS = .infinity }
        try refused("minCutoffHz to be a finite number > 0") { $0.smoothing?.minCutoffHz = 0 }
    }

    private func refused(_ message: String, change: (inout TrackerConfig) -> Void) throws {
        var config = TrackerConfig()
        change(&config)
        do {
            _ = try FaceTracker(network: World(), detector: World(), config: config)
            Issue.record("expected an error: \(message)")
        } catch let error as AtpnError {
            #expect(error.message.contains(message))
        }
    }

    @Test func theDefaultsPass() throws {
        try TrackerConfig().validate()
        try DetectorConfig().validate()
    }

    @Test func aDetectorThresholdAboveOneIsRefused() {
        var config = DetectorConfig()
        config.scoreThreshold = 2
        #expect(throws: AtpnError.self) { try config.validate() }
    }
}

func inputSpec(side: Int, layout: Layout = .nchw) -> InputSpec {
    InputSpec(name: "image", resolution: side, layout: layout)
}
