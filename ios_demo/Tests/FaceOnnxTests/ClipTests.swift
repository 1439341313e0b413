// The shipped float32 networks on the bundled clip, against Python frame by frame.

import FaceCore
import FaceOnnx
import Foundation
import GoldenSupport
import Testing

private let tolerancePx = 1.0
private let toleranceDeg = 1.0
private let tolerancePresence = 0.01

@Suite struct ClipTests {
    @Test func theGoldenVectorOfTheClip() throws {
        for golden in try goldenCases(of: ["end_to_end"], in: goldenFolder) {
            let clip = try loadClip()
            var config = TrackerConfig()
            config.smoothing = nil
            let tracker = try makeTracker(config: config) { model in
                try golden.inputs[model]["sha256"].text
            }
            let rate = try golden.inputs["frames_per_second"].number
            #expect(try golden.inputs["clip"].text == "assets/clips/synthetic_solo.mp4")
            let count = try #require(golden.expected["frames"]).list.count
            #expect(count > 0)
            let frames = try (0..<count).map { index in
                let result = try tracker.track(
                    clip.frame(index), timestampS: Double(index) / rate)
                return Json.list(result.faces.map(clipFields))
            }
            let difference = try golden.firstDifference(from: ["frames": .list(frames)])
            #expect(difference == nil)
        }
    }

    @Test func everyFrameAgreesWithPython() throws {
        let clip = try loadClip()
        let tracker = try makeTracker(config: TrackerConfig())
        var worst = Differences()
        var counts: [Int] = []
        for (index, expected) in clip.reference.enumerated() {
            let timestampS = Double(index) / clip.framesPerSecond
            let result = try tracker.track(clip.frame(index), timestampS: timestampS)
            let faces = try expected["faces"].list
            #expect(try result.lostIds == expected["lost_ids"].list.map { try $0.int })
            #expect(try result.detectorRan == expected["detector_ran"].bool)
            try #require(result.faces.count == faces.count, "frame \(index)")
            for (face, wanted) in zip(result.faces, faces) {
                #expect(try face.trackId == wanted["track_id"].int)
                #expect(try face.source.rawValue == wanted["source"].text)
                try worst.add(face, wanted)
            }
            counts.append(faces.count)
        }
        // The clip has it all: a face, none, and one again.
        #expect(counts.first == 1 && counts.contains(0) && counts.last == 1)
        #expect(worst.landmarksPx < tolerancePx)
        #expect(worst.rawLandmarksPx < tolerancePx)
        #expect(worst.anglesDeg < toleranceDeg)
        #expect(worst.presence < tolerancePresence)
        print(
            "against Python: \(counts.count) frames, \(counts.filter { $0 > 0 }.count) with a face: \(worst)"
        )
    }

    @Test func anEngineThatGetsNoModelSaysSo() throws {
        let manifest = try Manifest(folder: models)
        let (_, spec) = try manifest.choose(model: "atpn", runtime: "onnx", precision: "float32")
        #expect(throws: AtpnError.self) { try OnnxBackend(model: [1, 2, 3], spec: spec) }
    }
}

/// Largest differences.
private struct Differences: CustomStringConvertible {
    var landmarksPx = 0.0
    var rawLandmarksPx = 0.0
    var anglesDeg = 0.0
    var presence = 0.0

    mutating func add(_ face: Face, _ wanted: Json) throws {
        landmarksPx = max(landmarksPx, farthest(face.landmarks, try wanted["landmarks"].landmarks))
        rawLandmarksPx = max(
            rawLandmarksPx, farthest(face.rawLandmarks, try wanted["raw_landmarks"].landmarks))
        let angles = [face.pose.yawDeg, face.pose.pitchDeg, face.pose.rollDeg]
        for (got, expected) in zip(angles, try wanted["angles_deg"].numbers) {
            anglesDeg = max(anglesDeg, abs(got - expected))
        }
        presence = max(presence, abs(face.presence - (try wanted["presence"].number)))
    }

    private func farthest(_ a: Landmarks, _ b: Landmarks) -> Double {
        guard a.count == b.count, !a.isEmpty else { return .infinity }
        return zip(a, b).map { p, q in
            Double(max(abs(p.x - q.x), abs(p.y - q.y)))
        }.max() ?? .infinity
    }

    var description: String {
        String(
            format: "landmarks %.4f px, unsmoothed %.4f px, angles %.4f degrees, presence %.5f",
            landmarksPx, rawLandmarksPx, anglesDeg, presence)
    }
}

private let models = repository.appendingPathComponent("models")

private func loadClip() throws -> Clip {
    let folder = try #require(
        ProcessInfo.processInfo.environment["ATPN_REFERENCE"],
        "ATPN_REFERENCE is set by tools/test.sh")
    return try Clip(folder: URL(fileURLWithPath: folder))
}

/// A tracker with the shipped networks, their files verified.
private func makeTracker(
    config: TrackerConfig, wantedSha256: ((String) throws -> String)? = nil
) throws -> FaceTracker {
    let manifest = try Manifest(folder: models)
    func load(_ model: String) throws -> OnnxBackend {
        let (artifact, spec) = try manifest.choose(
            model: model, runtime: "onnx", precision: "float32")
        if let wanted = try wantedSha256?(model) {
            try #require(
                artifact.sha256 == wanted,
                "the golden vector is of other weights than \(artifact.path): write it anew")
        }
        let contents = try Contents(of: models.appendingPathComponent(artifact.path))
        try artifact.verify(contents)
        guard case .file(let bytes) = contents else {
            throw GoldenError("expected a file at \(artifact.path), got a folder")
        }
        return try OnnxBackend(model: bytes, spec: spec)
    }
    return try FaceTracker(
        network: CropNetwork(backend: load("atpn")),
        detector: NetworkDetector(backend: load("detector")), config: config)
}
