import DemoCore
import FaceCore
import GoldenSupport
import Testing

private let identity = Affine(1, 0, 0, 0, 1, 0)

/// A face whose landmarks stand on a circle, its head turned.
private func makeFace(yaw: Double = 0, pitch: Double = 0, roll: Double = 0) throws -> Face {
    let seen = circle(x: 0.5, y: 0.5, size: 0.5, presence: 1)
    let pose = SIMD3<Float>(Float(yaw), Float(pitch), Float(roll))
    let outputs = AlignmentOutputs(landmarks: seen.landmarks, pose: pose, presence: 1)
    let world = Fixed(outputs: outputs)
    let tracker = try FaceTracker(network: world, detector: World())
    let roi = try Roi(centerX: 100, centerY: 100, size: 80)
    return try #require(try tracker.align(blackFrame(width: 200, height: 200), rois: [roi]).first)
}

private struct Fixed: AlignmentNetwork {
    let outputs: AlignmentOutputs
    func run(_ frame: Frame, roi: Roi, mirrored: Bool) -> AlignmentOutputs { outputs }
}

@Suite struct OverlayTests {
    @Test func anUprightPreviewScalesAndShifts() {
        // 100 x 50 pixels shown from (10, 20), twice as large.
        let corners = (SIMD2(10.0, 20.0), SIMD2(210.0, 20.0), SIMD2(10.0, 120.0))
        let map = frameToView(width: 100, height: 50, corners: corners)
        #expect(map.apply(SIMD2(-0.5, -0.5)) == SIMD2(10, 20))
        #expect(map.apply(SIMD2(99.5, 49.5)) == SIMD2(210, 120))
        #expect(map.apply(SIMD2(0, 0)) == SIMD2(11, 21))
    }

    @Test func aTurnedAndMirroredPreviewKeepsEachPixelAtItsPlace() {
        // Turned by a quarter clockwise: the frame's columns run downwards; then mirrored: its
        // rows run to the right.
        let corners = (SIMD2(0.0, 0.0), SIMD2(0.0, 100.0), SIMD2(50.0, 0.0))
        let map = frameToView(width: 100, height: 50, corners: corners)
        #expect(map.apply(SIMD2(30, 10)) == SIMD2(10.5, 30.5))
    }

    @Test func everyPartOfAFaceIsDrawn() throws {
        let face = try makeFace()
        let lines = outlines(of: face, map: identity)
        #expect(lines.count == faceParts.count)
        #expect(lines.map(\.points.count).reduce(0, +) == numLandmarks - 2)  // but the pupils
        #expect(lines[0].points[0] == SIMD2<Double>(face.landmarks[0]))
    }

    @Test func theAxesShowWhereAHeadTurns() throws {
        let straight = try headAxes(of: makeFace(), map: identity)
        #expect(straight.up.y < straight.origin.y && straight.left.x > straight.origin.x)
        #expect(straight.out == straight.origin)
        let toTheLeftEdge = try headAxes(of: makeFace(yaw: 0.5), map: identity)
        #expect(toTheLeftEdge.out.x < toTheLeftEdge.origin.x)
        let upwards = try headAxes(of: makeFace(pitch: 0.5), map: identity)
        #expect(upwards.out.y < upwards.origin.y)
        let clockwise = try headAxes(of: makeFace(roll: 0.5), map: identity)
        #expect(clockwise.up.x > clockwise.origin.x)
    }
}

@Suite struct LatencyMeterTests {
    @Test func theMedianOfTheLastOnes() {
        var meter = LatencyMeter(capacity: 3)
        #expect(meter.medianMs == nil)
        for value in [100, 1, 2, .nan, 4] { meter.add(value) }
        #expect(meter.medianMs == 2)
        var pair = LatencyMeter()
        pair.add(1)
        pair.add(2)
        #expect(pair.medianMs == 1.5)
    }
}

@Suite struct CameraStateTests {
    @Test func onlyARefusalLeadsToTheSettings() {
        #expect(CameraState.denied.offersSettings && !CameraState.noCamera.offersSettings)
        #expect(CameraState.running.message == nil)
        #expect(CameraState.failed("why").message == "why")
    }
}
