// What the camera is doing, and what to tell the user.

/// The state of the camera screen.
public enum CameraState: Sendable, Equatable {
    case starting
    case running
    /// The user has not allowed the camera, or a profile forbids it.
    case denied
    /// There is no such camera: a simulator has none.
    case noCamera
    /// Something else failed; its message.
    case failed(String)

    /// What to show instead of the picture; nil while it runs.
    public var message: String? {
        switch self {
        case .starting: "Starting the camera"
        case .running: nil
        case .denied:
            "The camera is not allowed. Frames are used on this device only; allow it in Settings."
        case .noCamera: "There is no such camera on this device."
        case .failed(let reason): reason
        }
    }

    /// Whether a way to the settings helps.
    public var offersSettings: Bool { self == .denied }
}
