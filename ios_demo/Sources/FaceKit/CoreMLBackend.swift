#if canImport(CoreML)
    import CoreML
    import FaceCore

    /// A network that Core ML runs: pixel buffers in, numbers out.
    public final class CoreMLBackend: Backend {
        public let spec: ModelSpec
        private let model: MLModel
        private let input: CVPixelBuffer

        /// - Parameters:
        ///   - model: a loaded model.
        ///   - spec: what the manifest says about it.
        /// - Throws: ``AtpnError/modelMismatch(_:)`` when its picture or its outputs are others.
        public init(model: MLModel, spec: ModelSpec) throws {
            let side = spec.input.resolution
            let description = model.modelDescription
            let image = description.inputDescriptionsByName[spec.input.name]?.imageConstraint
            guard let image, image.pixelsWide == side, image.pixelsHigh == side else {
                throw AtpnError.modelMismatch(
                    "expected a picture \(spec.input.name) of \(side) x \(side) pixels as input of "
                        + "model \(spec.name), got \(description.inputDescriptionsByName)")
            }
            for output in spec.outputs {
                let found = description.outputDescriptionsByName[output.name]
                let shape = found?.multiArrayConstraint?.shape.map(\.intValue)
                guard shape == output.shape else {
                    throw AtpnError.modelMismatch(
                        "expected \(output.shape) for output \(output.name) of model "
                            + "\(spec.name), got \(shape.map { "\($0)" } ?? "none")")
                }
            }
            self.model = model
            self.spec = spec
            input = try makePixelBuffer(width: side, height: side)
        }

        public func run(_ picture: Frame) throws -> [String: [Float]] {
            try requireSquare(picture, side: spec.input.resolution)
            try fill(input, with: picture)
            let features = try MLDictionaryFeatureProvider(
                dictionary: [spec.input.name: MLFeatureValue(pixelBuffer: input)])
            let results = try model.prediction(from: features)
            var outputs: [String: [Float]] = [:]
            for output in spec.outputs {
                if let array = results.featureValue(for: output.name)?.multiArrayValue {
                    outputs[output.name] = MLShapedArray<Float>(converting: array).scalars
                }
            }
            return outputs
        }
    }
#endif
