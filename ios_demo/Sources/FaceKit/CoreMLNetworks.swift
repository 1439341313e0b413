#if canImport(CoreML)
    import CoreML
    import FaceCore
    import Foundation

    /// Both networks of the tracker, loaded from an app.
    ///
    /// ```swift
    /// let tracker = try CoreMLNetworks().makeTracker()
    /// let result = try tracker.track(Frame(pixelBuffer: buffer), timestampS: seconds)
    /// ```
    public struct CoreMLNetworks {
        /// 98 landmarks, head pose and presence of a crop.
        public let alignment: CoreMLBackend
        /// Boxes of a whole frame.
        public let detection: CoreMLBackend

        /// Load the models of a bundle. Takes some time: not on the main thread.
        ///
        /// - Parameters:
        ///   - bundle: has `manifest.json` and the compiled models: Xcode makes a `.mlmodelc` of each
        ///     `.mlpackage` of a target.
        ///   - precision: which files, see the manifest.
        ///   - computeUnits: processors that Core ML may choose from.
        /// - Throws: ``AtpnError`` when one is missing, or not what the manifest says; whatever Core
        ///   ML throws.
        public init(
            bundle: Bundle = .main, precision: String = "float16",
            computeUnits: MLComputeUnits = .all
        ) throws {
            guard let folder = bundle.resourceURL else {
                throw AtpnError.modelNotFound("expected resources in \(bundle), got none")
            }
            let manifest = try Manifest(folder: folder)
            let configuration = MLModelConfiguration()
            configuration.computeUnits = computeUnits
            func load(_ name: String) throws -> CoreMLBackend {
                let (artifact, spec) = try manifest.choose(
                    model: name, runtime: "coreml", precision: precision)
                let stem = (artifact.path as NSString).deletingPathExtension
                guard let url = bundle.url(forResource: stem, withExtension: "mlmodelc") else {
                    throw AtpnError.modelNotFound(
                        "expected \(artifact.path) among the app's files, it is missing")
                }
                let model = try MLModel(contentsOf: url, configuration: configuration)
                return try CoreMLBackend(model: model, spec: spec)
            }
            alignment = try load("atpn")
            detection = try load("detector")
        }

        /// Networks that were loaded otherwise.
        public init(alignment: CoreMLBackend, detection: CoreMLBackend) {
            self.alignment = alignment
            self.detection = detection
        }

        /// A tracker with these networks; several may share them, one at a time.
        ///
        /// - Parameter detectorConfig: its rotation is taken from `config`.
        /// - Throws: ``AtpnError/config(_:)`` when an option is outside its range.
        public func makeTracker(
            config: TrackerConfig = TrackerConfig(),
            detectorConfig: DetectorConfig = DetectorConfig()
        ) throws -> FaceTracker {
            var turned = detectorConfig
            turned.rotation = config.rotation
            return try FaceTracker(
                network: CropNetwork(backend: alignment),
                detector: NetworkDetector(backend: detection, config: turned), config: config)
        }
    }
#endif
