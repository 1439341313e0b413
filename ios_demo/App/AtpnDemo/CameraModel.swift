@preconcurrency import AVFoundation
import DemoCore
import FaceCore
import Observation

/// What the screen shows: runs one camera at a time through the tracker.
@MainActor
@Observable
final class CameraModel {
    private(set) var state = CameraState.starting
    private(set) var faces: [Face] = []
    /// Size of the frames, pixels.
    private(set) var frameSize = (width: 0, height: 0)
    /// The camera that runs.
    private(set) var device: AVCaptureDevice?
    /// Medians of the last frames.
    private(set) var trackerMs: Double?
    private(set) var latencyMs: Double?
    /// Clockwise turn that puts the camera's frames upright; the preview knows it.
    var rotation = QuarterTurn.right

    let camera = CameraSession()
    private var worker: TrackingWorker?

    /// Track the camera's frames until the task is cancelled.
    func run(position: AVCaptureDevice.Position) async {
        state = .starting
        faces = []
        guard await AVCaptureDevice.requestAccess(for: .video) else {
            state = .denied
            return
        }
        do {
            let worker = try await loadWorker()
            let frames = try await camera.start(position: position)
            device = await camera.device
            await worker.reset()
            state = .running
            try await follow(frames, worker)
        } catch is CancellationError {
            return
        } catch CameraError.noCamera {
            state = .noCamera
        } catch {
            state = .failed("\(error)")
        }
    }

    private func loadWorker() async throws -> TrackingWorker {
        if let worker { return worker }
        let loaded = try await TrackingWorker.load()
        worker = loaded
        return loaded
    }

    private func follow(
        _ frames: AsyncStream<CameraFrame>, _ worker: TrackingWorker
    ) async throws {
        var tracker = LatencyMeter()
        var latency = LatencyMeter()
        for await frame in frames {
            let result = try await worker.track(frame, rotation: rotation)
            try Task.checkCancellation()
            faces = result.faces
            frameSize = (frame.frame.width, frame.frame.height)
            tracker.add(result.timings.totalMs)
            latency.add(frame.ageMs)
            trackerMs = tracker.medianMs
            latencyMs = latency.medianMs
        }
    }
}
