#if canImport(CoreVideo)
    import CoreGraphics
    import CoreVideo
    import FaceCore

    extension Frame {
        /// The pixels of a camera's buffer, copied: the buffer goes back to the camera at once.
        ///
        /// - Parameter pixelBuffer: of the format `kCVPixelFormatType_32BGRA`.
        /// - Throws: ``AtpnError/invalidFrame(_:)`` when it is of another format.
        public init(pixelBuffer: CVPixelBuffer) throws {
            let format = CVPixelBufferGetPixelFormatType(pixelBuffer)
            guard format == kCVPixelFormatType_32BGRA else {
                throw AtpnError.invalidFrame(
                    "expected a pixel buffer of kCVPixelFormatType_32BGRA, got format \(format)")
            }
            CVPixelBufferLockBaseAddress(pixelBuffer, .readOnly)
            defer { CVPixelBufferUnlockBaseAddress(pixelBuffer, .readOnly) }
            guard let base = CVPixelBufferGetBaseAddress(pixelBuffer) else {
                throw AtpnError.invalidFrame("expected a pixel buffer with memory, got none")
            }
            let bytesPerRow = CVPixelBufferGetBytesPerRow(pixelBuffer)
            let height = CVPixelBufferGetHeight(pixelBuffer)
            let bytes = UnsafeRawBufferPointer(start: base, count: bytesPerRow * height)
            try self.init(
                width: CVPixelBufferGetWidth(pixelBuffer), height: height,
                bytesPerRow: bytesPerRow, order: .bgra, bytes: [UInt8](bytes))
        }

        /// The pixels of a picture as they are stored: its orientation is not looked at.
        ///
        /// - Throws: ``AtpnError/invalidFrame(_:)`` when it cannot be drawn.
        public init(cgImage: CGImage) throws {
            let (width, height) = (cgImage.width, cgImage.height)
            var bytes = [UInt8](repeating: 0, count: 4 * width * height)
            let isDrawn = bytes.withUnsafeMutableBytes { buffer in
                guard
                    let space = CGColorSpace(name: CGColorSpace.sRGB),
                    let context = CGContext(
                        data: buffer.baseAddress, width: width, height: height,
                        bitsPerComponent: 8, bytesPerRow: 4 * width, space: space,
                        bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
                else { return false }
                context.draw(cgImage, in: CGRect(x: 0, y: 0, width: width, height: height))
                return true
            }
            guard isDrawn else {
                throw AtpnError.invalidFrame(
                    "expected a picture that can be drawn, got one of \(width) x \(height)")
            }
            try self.init(width: width, height: height, order: .rgba, bytes: bytes)
        }
    }

    /// A new pixel buffer of `kCVPixelFormatType_32BGRA`, as Core ML and Vision take it.
    ///
    /// - Throws: ``AtpnError/engine(_:)`` when there is no memory for it.
    func makePixelBuffer(width: Int, height: Int) throws -> CVPixelBuffer {
        var buffer: CVPixelBuffer?
        // With an IOSurface, the GPU and the Neural Engine read it where it is.
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [String: String]()] as CFDictionary
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, width, height, kCVPixelFormatType_32BGRA, attributes, &buffer)
        guard status == kCVReturnSuccess, let buffer else {
            throw AtpnError.engine(
                "expected a pixel buffer of \(width) x \(height), got status \(status)")
        }
        return buffer
    }

    /// Write a picture into a pixel buffer of its size.
    func fill(_ buffer: CVPixelBuffer, with picture: Frame) throws {
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw AtpnError.engine("expected a pixel buffer with memory, got none")
        }
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        let target = base.assumingMemoryBound(to: UInt8.self)
        picture.bytes.withUnsafeBufferPointer { source in
            for row in 0..<picture.height {
                let from = row * picture.bytesPerRow
                let to = row * bytesPerRow
                for first in stride(from: 0, to: 4 * picture.width, by: 4) {
                    let (red, blue) = picture.order == .bgra ? (2, 0) : (0, 2)
                    target[to + first] = source[from + first + blue]
                    target[to + first + 1] = source[from + first + 1]
                    target[to + first + 2] = source[from + first + red]
                    target[to + first + 3] = 255
                }
            }
        }
    }
#endif
