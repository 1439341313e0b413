// The shipped Core ML packages; on a Mac only.

#if canImport(CoreML)
    import CoreML
    import FaceCore
    import FaceKit
    import Foundation
    import GoldenSupport
    import Testing

    // Float16 against the float32 of the golden vector: pixels of a face of about 130 pixels.
    private let tolerancePx = 3.0

    @Suite struct CoreMLTests {
        @Test func theClipByTheShippedPackages() async throws {
            let path = try #require(
                ProcessInfo.processInfo.environment["ATPN_REFERENCE"],
                "ATPN_REFERENCE is set by tools/test.sh")
            let clip = try Clip(folder: URL(fileURLWithPath: path))
            var config = TrackerConfig()
            config.smoothing = nil
            let tracker = try await loadNetworks().makeTracker(config: config)
            let golden = try #require(
                try goldenCases(of: ["end_to_end"], in: goldenFolder).first)
            let expected = try #require(golden.expected["frames"]).list
            var worst = 0.0
            for (index, faces) in expected.enumerated() {
                let result = try tracker.track(
                    clip.frame(index), timestampS: Double(index) / clip.framesPerSecond)
                try #require(result.faces.count == faces.list.count, "frame \(index)")
                for (face, wanted) in zip(result.faces, try faces.list) {
                    #expect(try face.trackId == wanted["track_id"].int)
                    for (a, b) in zip(face.landmarks, try wanted["landmarks"].landmarks) {
                        worst = max(worst, Double(max(abs(a.x - b.x), abs(a.y - b.y))))
                    }
                }
            }
            print("Core ML against Python: \(expected.count) frames, landmarks \(worst) px")
            #expect(worst < tolerancePx)
        }

        @Test func aPixelBufferOfAnotherFormatIsRefused() throws {
            var buffer: CVPixelBuffer?
            CVPixelBufferCreate(nil, 8, 8, kCVPixelFormatType_32ARGB, nil, &buffer)
            let other = try #require(buffer)
            #expect(throws: AtpnError.self) { try Frame(pixelBuffer: other) }
        }
    }

    private func loadNetworks() async throws -> CoreMLNetworks {
        let models = repository.appendingPathComponent("models")
        let manifest = try Manifest(folder: models)
        func load(_ name: String) async throws -> CoreMLBackend {
            let (artifact, spec) = try manifest.choose(
                model: name, runtime: "coreml", precision: "float16")
            let package = models.appendingPathComponent(artifact.path)
            try artifact.verify(Contents(of: package))
            let compiled = try await MLModel.compileModel(at: package)
            return try CoreMLBackend(model: MLModel(contentsOf: compiled), spec: spec)
        }
        return CoreMLNetworks(
            alignment: try await load("atpn"), detection: try await load("detector"))
    }
#endif
