@preconcurrency import AVFoundation
import FaceCore
import FaceKit

/// A frame of the camera, as its sensor has it: neither turned nor mirrored.
struct CameraFrame: Sendable {
    let frame: Frame
    let timestampS: Double
    private let arrived = ContinuousClock.now

    init(frame: Frame, timestampS: Double) {
        self.frame = frame
        self.timestampS = timestampS
    }

    /// Time since the app was given the frame, milliseconds.
    var ageMs: Double { (ContinuousClock.now - arrived) / .milliseconds(1) }
}

enum CameraError: Error {
    case noCamera
    case refused(String)
}

/// The camera. Its settings are touched by this actor alone.
actor CameraSession {
    /// For the preview layer, which may read it from any thread.
    nonisolated let session = AVCaptureSession()
    private(set) var device: AVCaptureDevice?
    private var receiver: FrameReceiver?

    /// Start a camera; the one before is stopped.
    ///
    /// - Returns: its frames. Only the latest is kept: a slow reader misses some and is never late.
    /// - Throws: ``CameraError``.
    func start(position: AVCaptureDevice.Position) throws -> AsyncStream<CameraFrame> {
        guard
            let device = AVCaptureDevice.default(
                .builtInWideAngleCamera, for: .video, position: position)
        else { throw CameraError.noCamera }
        receiver?.finish()
        let (frames, continuation) = AsyncStream.makeStream(
            of: CameraFrame.self, bufferingPolicy: .bufferingNewest(1))
        let receiver = FrameReceiver(continuation)
        try configure(AVCaptureDeviceInput(device: device), receiver)
        self.device = device
        self.receiver = receiver
        if !session.isRunning { session.startRunning() }
        return frames
    }

    private func configure(_ input: AVCaptureDeviceInput, _ receiver: FrameReceiver) throws {
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.inputs.forEach(session.removeInput)
        session.outputs.forEach(session.removeOutput)
        // The crops are small: more pixels would be copied for nothing.
        session.sessionPreset = .vga640x480
        let output = AVCaptureVideoDataOutput()
        output.alwaysDiscardsLateVideoFrames = true
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
        ]
        output.setSampleBufferDelegate(receiver, queue: receiver.queue)
        guard session.canAddInput(input), session.canAddOutput(output) else {
            throw CameraError.refused("expected a camera that gives 640 x 480 pixels")
        }
        session.addInput(input)
        session.addOutput(output)
        // The tracker turns its crops itself: nothing is turned or mirrored for it.
        if let connection = output.connection(with: .video) {
            connection.automaticallyAdjustsVideoMirroring = false
            connection.isVideoMirrored = false
            if connection.isVideoRotationAngleSupported(0) { connection.videoRotationAngle = 0 }
        }
    }
}

/// Takes the camera's buffers, and copies them so that the camera has them back at once.
private final class FrameReceiver: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    let queue = DispatchQueue(label: "camera frames", qos: .userInteractive)
    private let continuation: AsyncStream<CameraFrame>.Continuation

    init(_ continuation: AsyncStream<CameraFrame>.Continuation) {
        self.continuation = continuation
    }

    func finish() { continuation.finish() }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        guard let buffer = sampleBuffer.imageBuffer, let frame = try? Frame(pixelBuffer: buffer)
        else { return }
        let timestampS = sampleBuffer.presentationTimeStamp.seconds
        continuation.yield(CameraFrame(frame: frame, timestampS: timestampS))
    }
}
