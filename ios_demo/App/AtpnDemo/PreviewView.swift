@preconcurrency import AVFoundation
import DemoCore
import FaceCore
import SwiftUI

/// The camera's picture, turned and mirrored by the system, with the faces drawn over it.
struct PreviewView: UIViewRepresentable {
    let model: CameraModel
    // What changes is handed in, so that the screen sees that this view depends on it.
    let device: AVCaptureDevice?
    let faces: [Face]
    let frameSize: (width: Int, height: Int)

    func makeUIView(context: Context) -> PreviewUIView {
        let view = PreviewUIView()
        view.previewLayer.session = model.camera.session
        return view
    }

    func updateUIView(_ view: PreviewUIView, context: Context) {
        if let device {
            view.follow(device) { model.rotation = $0 }
        }
        view.draw(faces, frameSize: frameSize)
    }
}

final class PreviewUIView: UIView {
    let previewLayer = AVCaptureVideoPreviewLayer()
    private let lines = CAShapeLayer()
    private let axes = [UIColor.systemGreen, .systemBlue, .systemRed].map { color in
        let layer = CAShapeLayer()
        layer.strokeColor = color.cgColor
        layer.lineWidth = 3
        return layer
    }
    private var coordinator: AVCaptureDevice.RotationCoordinator?
    private var observations: [NSKeyValueObservation] = []

    override init(frame: CGRect) {
        super.init(frame: frame)
        previewLayer.videoGravity = .resizeAspectFill
        lines.strokeColor = UIColor.systemYellow.cgColor
        lines.fillColor = nil
        lines.lineWidth = 1.5
        for layer in [previewLayer, lines] + axes { self.layer.addSublayer(layer) }
        isAccessibilityElement = true
        accessibilityLabel = "Camera"
    }

    @available(*, unavailable)
    required init?(coder: NSCoder) { fatalError("made in code only") }

    override func layoutSubviews() {
        super.layoutSubviews()
        previewLayer.frame = bounds
    }

    /// Keep the preview level, and tell how the camera's frames lie, while the device turns.
    func follow(
        _ device: AVCaptureDevice, onRotation: @escaping @MainActor (QuarterTurn) -> Void
    ) {
        guard coordinator?.device !== device else { return }
        let coordinator = AVCaptureDevice.RotationCoordinator(
            device: device, previewLayer: previewLayer)
        self.coordinator = coordinator
        let preview = coordinator.observe(
            \.videoRotationAngleForHorizonLevelPreview, options: [.initial, .new]
        ) { [weak self] _, change in
            guard let angle = change.newValue else { return }
            Task { @MainActor [weak self] in self?.turnPreview(angle) }
        }
        let capture = coordinator.observe(
            \.videoRotationAngleForHorizonLevelCapture, options: [.initial, .new]
        ) { _, change in
            guard let angle = change.newValue, let turn = QuarterTurn(rawValue: Int(angle))
            else { return }
            Task { @MainActor in onRotation(turn) }
        }
        observations = [preview, capture]
    }

    private func turnPreview(_ angle: CGFloat) {
        guard let connection = previewLayer.connection,
            connection.isVideoRotationAngleSupported(angle)
        else { return }
        connection.videoRotationAngle = angle
    }

    /// Draw the faces of a frame of the sensor.
    func draw(_ faces: [Face], frameSize: (width: Int, height: Int)) {
        guard frameSize.width > 0, frameSize.height > 0 else { return }
        // The layer knows what it turns, mirrors and cuts off: three corners say it all.
        let corners = (shown(0, 0), shown(1, 0), shown(0, 1))
        let map = frameToView(width: frameSize.width, height: frameSize.height, corners: corners)
        let face = CGMutablePath()
        let ends = [CGMutablePath(), CGMutablePath(), CGMutablePath()]
        for one in faces {
            for line in outlines(of: one, map: map) {
                face.addLines(between: line.points.map(CGPoint.init))
                if line.isClosed { face.closeSubpath() }
            }
            if let head = try? headAxes(of: one, map: map) {
                for (path, end) in zip(ends, [head.left, head.up, head.out]) {
                    path.addLines(between: [CGPoint(head.origin), CGPoint(end)])
                }
            }
        }
        CATransaction.begin()
        CATransaction.setDisableActions(true)  // no animation from frame to frame
        lines.path = face
        for (layer, path) in zip(axes, ends) { layer.path = path }
        CATransaction.commit()
    }

    /// Where a place of the sensor, 0...1, is in this view.
    private func shown(_ x: CGFloat, _ y: CGFloat) -> SIMD2<Double> {
        let point = previewLayer.layerPointConverted(fromCaptureDevicePoint: CGPoint(x: x, y: y))
        return SIMD2(point.x, point.y)
    }
}

extension CGPoint {
    fileprivate init(_ point: SIMD2<Double>) { self.init(x: point.x, y: point.y) }
}
