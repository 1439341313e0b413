import FaceCore
import GoldenSupport
import Testing

/// A backend with fixed outputs that keeps what it was shown.
private final class Fake: Backend {
    let spec: ModelSpec
    private(set) var pictures: [Frame] = []
    private let outputs: [String: [Float]]

    init(_ outputs: [String: [Float]], declared: [(String, [Int])], side: Int = 4) {
        self.outputs = outputs
        spec = ModelSpec(
            name: "small", input: inputSpec(side: side),
            outputs: declared.map { OutputSpec(name: $0.0, shape: $0.1, meaning: "test") })
    }

    func run(_ picture: Frame) -> [String: [Float]] {
        pictures.append(picture)
        return outputs
    }
}

private let alignmentOutputs = [
    ("landmarks", [1, numLandmarks, 2]), ("pose", [1, 3]), ("presence", [1, 1]),
]

@Suite struct NetworkTests {
    @Test func anOutputOfAnotherSizeIsRefused() throws {
        let network = try CropNetwork(
            backend: Fake(["landmarks": [0, 0]], declared: alignmentOutputs))
        let roi = try Roi(centerX: 3, centerY: 3, size: 4)
        do {
            _ = try network.run(blackFrame(width: 8, height: 8), roi: roi, mirrored: false)
            Issue.record("expected an error")
        } catch let error as AtpnError {
            #expect(error.message.contains("expected 196 numbers for output landmarks"))
        }
    }

    @Test func aNetworkWithoutTheOutputsIsRefusedWhenItIsWrapped() {
        let backend = Fake([:], declared: alignmentOutputs)
        #expect(throws: AtpnError.self) { try NetworkDetector(backend: backend) }
    }

    @Test func tilesFindWhatTheWholeFrameHides() throws {
        // A box in the middle of each picture: of the frame, and of every tile that has it inside.
        let backend = Fake(
            ["boxes": [0.4, 0.4, 0.6, 0.6], "scores": [0.9]],
            declared: [("boxes", [1, 1, 4]), ("scores", [1, 1])])
        var config = DetectorConfig()
        config.tiles = 2
        let detector = try NetworkDetector(backend: backend, config: config)
        let found = try detector.detect(blackFrame(width: 100, height: 100))
        let tiles = tilesOf(width: 100, height: 100, count: 2)
        #expect(backend.pictures.count == 1 + tiles.count)
        #expect(found.count == 1 + tiles.count)
        let first = try #require(tiles.first)
        let middle = Double(first.left + first.right) / 2 - 0.5
        #expect(found.contains { abs(($0.box.left + $0.box.right) / 2 - middle) < 1e-4 })
    }

    @Test func tilesThatWouldBeTooSmallAreLeftOut() {
        #expect(!tilesOf(width: 60, height: 60, count: 2).isEmpty)  // of 34 pixels
        #expect(tilesOf(width: 50, height: 50, count: 2).isEmpty)  // of 29
    }

    @Test func aBarOfHalfAPixelIsNone() throws {
        // As Python rounds: a half goes to the even neighbour.
        let layout = try letterboxLayout(width: 255, height: 256, resolution: 256)
        #expect([layout.left, layout.right] == [0, 256])
    }

    @Test func aTurnedLetterboxShowsTheUprightPicture() throws {
        // Red of the left column, downwards: 10, 20, 30, 40.
        var bytes = [UInt8](repeating: 0, count: 64)
        for row in 0..<4 { bytes[16 * row] = UInt8(10 * (row + 1)) }
        let frame = try Frame(width: 4, height: 4, bytes: bytes)
        func red(_ rotation: QuarterTurn) throws -> [Float] {
            let picture = try letterbox(frame, resolution: 4, rotation: rotation).picture
            return Array(try tensor(of: picture, spec: inputSpec(side: 4))[0..<16])
        }
        #expect(try stride(from: 0, to: 16, by: 4).map { try red(.none)[$0] } == [10, 20, 30, 40])
        #expect(try red(.right)[0..<4] == [40, 30, 20, 10])  // the bottom comes to the left
        #expect(try stride(from: 3, to: 16, by: 4).map { try red(.half)[$0] } == [40, 30, 20, 10])
        #expect(try red(.left)[12..<16] == [10, 20, 30, 40])
    }

    @Test func aLetterboxAveragesWhatFallsIntoAPixel() throws {
        var bytes = [UInt8](repeating: 0, count: 4 * 32)
        bytes.replaceSubrange(0..<4, with: [200, 100, 0, 255])  // one of four that make the first
        let frame = try Frame(width: 8, height: 4, bytes: bytes)
        let picture = try letterbox(frame, resolution: 4).picture
        let planes = try tensor(of: picture, spec: inputSpec(side: 4))
        #expect([planes[4], planes[16 + 4], planes[32 + 4]] == [50, 25, 0])  // below the bar
        let mixed = try tensor(of: picture, spec: inputSpec(side: 4, layout: .nhwc))
        #expect(mixed[12..<15] == [50, 25, 0])
    }

    @Test(arguments: QuarterTurn.allCases)
    func aBoxOfTheUprightPictureComesBackToTheFrame(rotation: QuarterTurn) throws {
        // One bright pixel in a black frame, found again in the upright picture.
        let (width, height) = (8, 8)
        var bytes = [UInt8](repeating: 0, count: 4 * width * height)
        bytes[4 * (2 * width + 5)] = 255
        let frame = try Frame(width: width, height: height, bytes: bytes)
        let upright = try letterbox(frame, resolution: 8, rotation: rotation).picture
        let place = try #require(
            (0..<64).first { upright.bytes[4 * $0] == 255 })
        let (x, y) = (Double(place % 8), Double(place / 8))
        let box = Box(left: x / 8, top: y / 8, right: (x + 1) / 8, bottom: (y + 1) / 8)
        let back = uprightBoxToFrame(box, rotation: rotation, width: width, height: height)
        #expect(back == Box(left: 4.5, top: 1.5, right: 5.5, bottom: 2.5))
    }
}
