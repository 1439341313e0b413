// Engines and networks: what an app plugs in.

/// One network in an inference engine.
public protocol Backend {
    /// What the manifest says about the network.
    var spec: ModelSpec { get }

    /// Run the network once.
    ///
    /// - Parameter picture: a square of `spec.input.resolution` pixels on a side.
    /// - Returns: the outputs of `spec.outputs` by name, flat.
    func run(_ picture: Frame) throws -> [String: [Float]]
}

/// What the alignment network says of one region.
public struct AlignmentOutputs: Sendable {
    /// Crop units.
    public let landmarks: Landmarks
    /// Yaw, pitch, roll, radians.
    public let pose: SIMD3<Float>
    /// The probability of a face.
    public let presence: Float
    /// How long making the crop took, milliseconds; 0 if it is not known.
    public let cropMs: Double

    public init(
        landmarks: Landmarks, pose: SIMD3<Float>, presence: Float, cropMs: Double = 0
    ) {
        self.landmarks = landmarks
        self.pose = pose
        self.presence = presence
        self.cropMs = cropMs
    }
}

/// Looks for a face in a region of a frame.
public protocol AlignmentNetwork {
    /// - Parameter mirrored: the network is to see the mirror image of the region.
    func run(_ frame: Frame, roi: Roi, mirrored: Bool) throws -> AlignmentOutputs
}

/// The project's alignment network on the crop of a region.
public struct CropNetwork: AlignmentNetwork {
    private let backend: any Backend

    /// - Throws: ``AtpnError/modelMismatch(_:)`` when the network has no landmarks, pose, presence.
    public init(backend: any Backend) throws {
        try requireOutputs(backend.spec, ["landmarks", "pose", "presence"])
        self.backend = backend
    }

    public func run(_ frame: Frame, roi: Roi, mirrored: Bool) throws -> AlignmentOutputs {
        let spec = backend.spec
        let start = ContinuousClock.now
        let crop = cropFrame(
            frame, roi: roi, resolution: spec.input.resolution, mirrored: mirrored)
        let cropMs = millisecondsSince(start)
        let outputs = try backend.run(crop)
        let points = try output("landmarks", of: outputs, spec: spec)
        let pose = try output("pose", of: outputs, spec: spec)
        let presence = try output("presence", of: outputs, spec: spec)
        guard points.count == 2 * numLandmarks, pose.count == 3, let face = presence.last else {
            throw AtpnError.modelMismatch(
                "expected \(numLandmarks) landmarks and 3 angles of model \(spec.name), got "
                    + "\(points.count / 2) and \(pose.count)")
        }
        return AlignmentOutputs(
            landmarks: (0..<numLandmarks).map { SIMD2(points[2 * $0], points[2 * $0 + 1]) },
            pose: SIMD3(pose[0], pose[1], pose[2]), presence: face, cropMs: cropMs)
    }
}

/// Check that a network's manifest entry declares outputs.
///
/// - Throws: ``AtpnError/modelMismatch(_:)`` when one is missing.
public func requireOutputs(_ spec: ModelSpec, _ names: [String]) throws {
    let declared = spec.outputs.map(\.name)
    guard names.allSatisfy(declared.contains) else {
        throw AtpnError.modelMismatch(
            "expected outputs \(names.joined(separator: ", ")) of model \(spec.name), got "
                + declared.joined(separator: ", "))
    }
}

/// One output of a run, its size checked.
///
/// - Throws: ``AtpnError/modelMismatch(_:)`` when it is missing or not of the declared size.
public func output(
    _ name: String, of outputs: [String: [Float]], spec: ModelSpec
) throws -> [Float] {
    let shape = spec.outputs.first { $0.name == name }?.shape ?? []
    let size = shape.reduce(1, *)
    guard let values = outputs[name], values.count == size else {
        let got = outputs[name].map { "\($0.count)" } ?? "none"
        throw AtpnError.modelMismatch(
            "expected \(size) numbers for output \(name) of model \(spec.name), got \(got)")
    }
    return values
}

func millisecondsSince(_ start: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Double(seconds) * 1e3 + Double(attoseconds) / 1e15
}
