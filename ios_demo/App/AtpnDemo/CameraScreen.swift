import AVFoundation
import DemoCore
import SwiftUI

/// The camera's picture with what the tracker sees in it.
struct CameraScreen: View {
    @State private var model = CameraModel()
    @State private var position = AVCaptureDevice.Position.front
    @Environment(\.openURL) private var openURL

    var body: some View {
        ZStack {
            Color.black.ignoresSafeArea()
            if model.state == .running {
                PreviewView(
                    model: model, device: model.device, faces: model.faces,
                    frameSize: model.frameSize
                )
                .ignoresSafeArea()
            }
            if let message = model.state.message {
                explanation(message)
            }
            VStack {
                HStack(alignment: .top) {
                    times
                    Spacer()
                    switchButton
                }
                Spacer()
            }
            .padding()
        }
        .statusBarHidden()
        // Another camera: the task of the last one is cancelled, which stops it.
        .task(id: position) { await model.run(position: position) }
    }

    private var times: some View {
        VStack(alignment: .leading) {
            Text("tracker \(text(model.trackerMs)), camera to screen \(text(model.latencyMs))")
            ForEach(model.faces, id: \.trackId) { face in
                Text(
                    "#\(face.trackId)  \(face.presence, format: .percent.precision(.fractionLength(0)))"
                        + "  yaw \(degrees(face.pose.yawDeg))  pitch \(degrees(face.pose.pitchDeg))"
                        + "  roll \(degrees(face.pose.rollDeg))")
            }
        }
        .font(.caption.monospacedDigit())
        .foregroundStyle(.white)
        .shadow(radius: 2)
        .accessibilityElement(children: .combine)
    }

    private var switchButton: some View {
        Button("Switch camera", systemImage: "arrow.triangle.2.circlepath.camera") {
            position = position == .front ? .back : .front
        }
        .labelStyle(.iconOnly)
        .font(.title2)
        .tint(.white)
    }

    private func explanation(_ message: String) -> some View {
        VStack(spacing: 16) {
            Text(message).multilineTextAlignment(.center).foregroundStyle(.white)
            if model.state.offersSettings,
                let url = URL(string: UIApplication.openSettingsURLString)
            {
                Button("Open Settings") { openURL(url) }.buttonStyle(.borderedProminent)
            }
        }
        .padding(32)
    }

    private func text(_ milliseconds: Double?) -> String {
        milliseconds.map { "\($0.formatted(.number.precision(.fractionLength(1)))) ms" } ?? "-"
    }

    private func degrees(_ angle: Double) -> String {
        "\(angle.formatted(.number.precision(.fractionLength(0))))°"
    }
}
