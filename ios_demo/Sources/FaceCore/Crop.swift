// Regions of a frame as network inputs. Pure functions.

/// Cut a region out of a frame in one affine, bilinear pass; black outside the frame.
///
/// - Parameters:
///   - resolution: pixels on a side of the crop.
///   - mirrored: the mirror image of the region.
/// - Returns: a square picture in the frame's order of channels; opaque.
public func cropFrame(
    _ frame: Frame, roi: Roi, resolution: Int, mirrored: Bool = false
) -> Frame {
    let map = cropToFrameMatrix(roi, resolution: resolution)
    var crop = Frame.blackBytes(side: resolution)
    frame.bytes.withUnsafeBufferPointer { source in
        crop.withUnsafeMutableBufferPointer { target in
            let sampler = Sampler(source: source, frame: frame)
            var next = 0
            for row in 0..<resolution {
                for step in 0..<resolution {
                    let column = mirrored ? resolution - 1 - step : step
                    let place = map.apply(SIMD2(Double(column), Double(row)))
                    sampler.write(x: place.x, y: place.y, to: target, at: next)
                    next += 4
                }
            }
        }
    }
    return Frame(
        unchecked: crop, width: resolution, height: resolution, bytesPerRow: 4 * resolution,
        order: frame.order)
}

/// Reads a frame's colours between its pixels.
private struct Sampler {
    let source: UnsafeBufferPointer<UInt8>
    let width: Int
    let height: Int
    let bytesPerRow: Int

    init(source: UnsafeBufferPointer<UInt8>, frame: Frame) {
        self.source = source
        width = frame.width
        height = frame.height
        bytesPerRow = frame.bytesPerRow
    }

    /// Write the colour between the four pixels around a place; those outside the frame are black.
    func write(x: Double, y: Double, to target: UnsafeMutableBufferPointer<UInt8>, at next: Int) {
        let leftEdge = x.rounded(.down)
        let topEdge = y.rounded(.down)
        guard leftEdge >= -1, topEdge >= -1, leftEdge < Double(width), topEdge < Double(height)
        else { return }
        let (left, top) = (Int(leftEdge), Int(topEdge))
        let (right, low) = (Float(x - leftEdge), Float(y - topEdge))  // shares of right and lower
        let upper = mix(pixel(left, top), pixel(left + 1, top), right)
        let lower = mix(pixel(left, top + 1), pixel(left + 1, top + 1), right)
        let sum: SIMD4<Float> = mix(upper, lower, low)
        let rounded = SIMD4<UInt8>(truncatingIfNeeded: SIMD4<Int32>(sum + 0.5))
        target[next] = rounded[0]
        target[next + 1] = rounded[1]
        target[next + 2] = rounded[2]
    }

    private func mix(_ a: SIMD4<Float>, _ b: SIMD4<Float>, _ share: Float) -> SIMD4<Float> {
        let rest: Float = 1 - share
        return a * rest + b * share
    }

    /// The channels of a pixel; 0 for one outside the frame.
    private func pixel(_ column: Int, _ row: Int) -> SIMD4<Float> {
        guard column >= 0, row >= 0, column < width, row < height else { return .zero }
        let first = row * bytesPerRow + 4 * column
        return SIMD4(
            Float(source[first]), Float(source[first + 1]), Float(source[first + 2]), 0)
    }
}

/// Turn a square picture into the numbers that a network of floats takes.
///
/// Core ML takes the picture itself; this is for other engines.
///
/// - Returns: of `spec.shape`, red, green, blue, values 0...255.
/// - Throws: ``AtpnError/modelMismatch(_:)`` when the picture is of another size.
public func tensor(of picture: Frame, spec: InputSpec) throws -> [Float] {
    try requireSquare(picture, side: spec.resolution)
    let side = spec.resolution
    let (red, green, blue) = picture.order.channels
    var tensor = [Float](repeating: 0, count: 3 * side * side)
    let (step, plane) = spec.layout == .nhwc ? (3, 1) : (1, side * side)
    for row in 0..<side {
        for column in 0..<side {
            let from = row * picture.bytesPerRow + 4 * column
            let to = step * (row * side + column)
            tensor[to] = Float(picture.bytes[from + red])
            tensor[to + plane] = Float(picture.bytes[from + green])
            tensor[to + 2 * plane] = Float(picture.bytes[from + blue])
        }
    }
    return tensor
}

/// Check that a picture is the square that a network takes.
///
/// - Throws: ``AtpnError/modelMismatch(_:)`` when it is not.
public func requireSquare(_ picture: Frame, side: Int) throws {
    guard picture.width == side && picture.height == side else {
        throw AtpnError.modelMismatch(
            "expected a picture of \(side) x \(side) pixels, got \(picture.width) x "
                + "\(picture.height)")
    }
}
