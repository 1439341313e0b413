#if canImport(Vision)
    import FaceCore
    import ImageIO
    import Vision

    /// Apple's face detector instead of the project's own: nothing to download, larger boxes.
    public struct VisionDetector: Detector {
        private let rotation: QuarterTurn

        /// - Parameter rotation: clockwise turn that puts the frames upright, as in the tracker.
        public init(rotation: QuarterTurn = .none) { self.rotation = rotation }

        public func detect(_ frame: Frame) throws -> [Detection] {
            let buffer = try makePixelBuffer(width: frame.width, height: frame.height)
            try fill(buffer, with: frame)
            let request = VNDetectFaceRectanglesRequest()
            try VNImageRequestHandler(cvPixelBuffer: buffer, orientation: orientation)
                .perform([request])
            let found = (request.results ?? []).map { face in
                let upright = Box(  // Vision counts y from the bottom
                    left: face.boundingBox.minX, top: 1 - face.boundingBox.maxY,
                    right: face.boundingBox.maxX, bottom: 1 - face.boundingBox.minY)
                let box = uprightBoxToFrame(
                    upright, rotation: rotation, width: frame.width, height: frame.height)
                return Detection(box: box, score: Double(face.confidence))
            }
            return found.sorted { $0.score > $1.score }
        }

        /// How the frame lies, in the words of EXIF.
        private var orientation: CGImagePropertyOrientation {
            switch rotation {
            case .none: .up
            case .right: .right
            case .half: .down
            case .left: .left
            }
        }
    }
#endif
